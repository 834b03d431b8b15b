//! Tests for transports over a network, in addition to the suite of all transports.
//!
//! - [`Wire`]: a transport, both of its sides
//! - [`remote_conformance!`](crate::remote_conformance), [`remote_tls_conformance!`](crate::remote_tls_conformance): the
//!   cases that are the same for every transport, in the modules [`calls`], [`limits`], [`serving`] and [`tls`]
//! - [`Running`], [`Double`]: a server on a free port, in front of a transport that remembers its requests
//! - [`OnLoopback`], [`OverTls`]: fixtures for the conformance suite and the matrix
//! - [`remote_obstacle_conformance!`](crate::remote_obstacle_conformance): what lies between the two sides, in
//!   [`obstacles`], [`links`] and [`harms`]
//! - [`Front`], [`Verdict`], [`Link`], [`Harm`], [`Hub`]: proxies, links, and a hub behind them
//! - [`Authority`], [`requests`]: certificates; requests, answers and events
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

pub mod calls;
mod certificates;
mod double;
mod fixture;
mod front;
pub mod harms;
mod hub;
pub mod limits;
mod link;
pub mod links;
pub mod obstacles;
pub mod requests;
mod running;
pub mod serving;
pub mod tls;

use std::future::Future;
use std::time::Duration;

use synckit_core::Transport;
use synckit_remote::{Exchange, Serve, ServerConfig, Service};

pub use certificates::Authority;
pub use double::{Double, State};
pub use fixture::{OnLoopback, OverTls};
pub use front::{Front, Verdict};
pub use hub::{Hub, Manager, builder, manager, notes, store};
pub use link::{Harm, Link};
pub use running::{Running, canned, fake, read_all, short};

/// A transport over a network, both of its sides.
pub trait Wire: Send + Sync + 'static {
    /// The calling side.
    type Exchange: Exchange;

    /// The answering side of a transport.
    type Service<T: Transport>: Serve + Clone + From<Service<T>> + 'static;

    /// Returns what the client gets of a delay that the server names.
    fn delay(named: Duration) -> Duration {
        named
    }
}

/// Creates a service for a transport.
fn service<W: Wire, T: Transport>(transport: T, config: ServerConfig) -> W::Service<T> {
    Service::new(transport).with_config(config).into()
}

/// Makes a test of every case that is the same for every transport over a network. It takes a
/// [`Wire`](crate::remote::Wire), and makes a module `remote_conformance`.
#[macro_export]
macro_rules! remote_conformance {
    ($wire:ty) => {
        $crate::__remote_cases! { remote_conformance, $wire,
            calls: hello_pull_push_and_missing_arrive_and_are_answered;
            calls: messages_are_compressed_both_ways_and_counted_as_sent;
            calls: large_messages_pass;
            calls: every_kind_of_error_keeps_its_kind_and_message;
            calls: when_to_come_again_is_said;
            calls: a_cursor_crosses_as_it_is;
            calls: a_relay_passes_everything_on;
            calls: ids_are_packed_both_ways;
            calls: a_subscription_brings_pages_and_then_its_error;
            calls: an_error_at_the_start_of_a_subscription_is_that_error;
            calls: a_subscription_that_stays_silent_is_given_up;
            calls: closing_ends_calls_and_subscriptions;
            calls: nobody_there_is_unavailable_and_says_what_to_check;
            calls: a_client_finds_its_server_again;
            calls: headers_are_sent_and_not_shown;
            calls: the_context_of_a_trace_crosses_the_wire;
            limits: hello_names_the_stricter_limits_of_endpoint_and_wire;
            limits: a_batch_above_what_the_client_may_send_is_too_large;
            limits: an_answer_above_what_the_client_takes_is_too_large;
            limits: a_call_that_takes_too_long_is_a_timeout_on_both_sides;
            limits: subscriptions_beyond_the_limit_are_busy;
            limits: requests_beyond_the_limit_are_told_to_come_again;
            limits: connections_beyond_the_limit_wait_for_their_turn;
            limits: clones_share_their_limits;
            serving: shutdown_finishes_a_running_request_and_accepts_no_other;
            serving: shutdown_closes_idle_connections_and_ends_subscriptions;
            serving: shutdown_ends_subscriptions_and_lets_calls_finish;
            serving: shutdown_waits_no_longer_than_its_grace;
        }
    };
}

/// Makes a test of every case about TLS that is the same for every transport over a network, as
/// [`remote_conformance!`](crate::remote_conformance) does, in a module `remote_tls_conformance`.
#[macro_export]
macro_rules! remote_tls_conformance {
    ($wire:ty) => {
        $crate::__remote_cases! { remote_tls_conformance, $wire,
            tls: a_trusted_server_is_called_and_every_byte_is_counted;
            tls: a_name_is_checked_too_where_the_server_has_one;
            tls: a_self_signed_certificate_that_is_given_is_accepted;
            tls: a_server_is_reached_through_a_proxy;
            tls: a_server_of_an_unknown_authority_is_refused;
            tls: an_expired_certificate_is_named_so;
            tls: a_renewed_certificate_is_shown_to_new_connections;
            tls: clients_show_certificates_where_they_must;
            tls: changed_authorities_of_clients_count_for_new_connections;
            tls: clients_need_no_certificate_where_it_is_optional_but_no_wrong_one_is_taken;
            tls: tls_to_a_plain_port_is_told_so;
            tls: handshakes_that_fail_or_never_end_cost_a_connection_for_a_while_and_nothing_else;
            tls: a_server_that_never_answers_the_handshake_is_a_timeout;
            tls: settings_that_cannot_be_used_are_errors_from_the_start_without_the_key;
        }
    };
}

/// Makes a test of every case about what lies between the two sides, as
/// [`remote_conformance!`](crate::remote_conformance) does, in a module `remote_obstacle_conformance`.
#[macro_export]
macro_rules! remote_obstacle_conformance {
    ($wire:ty) => {
        $crate::__remote_cases! { remote_obstacle_conformance, $wire,
            obstacles: a_proxy_that_refuses_pushes_loses_nothing;
            obstacles: a_proxy_that_refuses_everything_is_named;
            obstacles: a_proxy_that_strips_the_encoding_is_passed_unpacked;
            obstacles: a_proxy_that_takes_no_packed_bodies_is_passed_unpacked;
            obstacles: a_damaged_encoding_header_costs_one_call;
            obstacles: a_firewall_holds_back_only_what_it_refuses;
            obstacles: a_lone_event_that_is_refused_by_a_firewall_is_held_back;
            obstacles: what_was_refused_for_its_size_is_offered_when_the_hub_takes_it;
            obstacles: a_damaged_row_is_passed_over_and_fetched_when_it_can_be_read;
            obstacles: a_damaged_local_row_does_not_stop_a_push;
            obstacles: a_gateway_that_is_down_is_tried_again_later;
            links: a_link_that_cuts_every_connection_after_20_kb_moves_everything;
            links: a_limit_on_bodies_costs_each_byte_at_most_twice;
            links: a_flipped_bit_never_leads_to_replicas_that_differ;
            links: a_link_too_slow_for_pings_moves_everything;
            links: a_sync_with_little_time_makes_progress_on_a_slow_link;
            harms: every_seed_of_harm_loses_nothing;
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __remote_cases {
    ($name:ident, $wire:ty, $($module:ident: $case:ident;)*) => {
        mod $name {
            use super::*;

            $(#[test]
            fn $case() {
                $crate::remote::run($crate::remote::$module::$case::<$wire>());
            })*
        }
    };
}

/// Runs a case on a separate runtime with one thread.
///
/// # Panics
/// If the case does.
pub fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(case);
}
