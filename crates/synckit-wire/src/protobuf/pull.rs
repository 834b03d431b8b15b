//! The requests of pull and subscribe.

use prost::Message;
use synckit_core::{PullRequest, Result, Scope};

use super::fields::{Split, split};
use super::parts::{caller, caller_form, check_plain, cursor, names, put_names, request, text};
use super::{FromProtobuf, ToProtobuf, count, filter, generated as form, parse, size};
use crate::checks::Side;
use crate::limits::WireLimits;

const STORES: u32 = 6;
const IDS: u32 = 7;

impl ToProtobuf for PullRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let (scope, stores) = match &self.scope {
            Scope::Others => (form::Scope::Others, &[][..]),
            Scope::Sent(stores) => (form::Scope::Sent, &stores[..]),
            Scope::Named(_) => (form::Scope::Named, &[][..]),
        };
        let rest = form::PullRequest {
            caller: caller_form(&self.caller),
            cursor: text(self.cursor.as_ref()),
            limit: self.limit.map(count),
            filter: filter::write(&self.filter),
            scope: scope.into(),
            stores: stores.iter().map(ToString::to_string).collect(),
            ids: Vec::new(),
            upto: self.upto,
        };
        let mut out = rest.encode_to_vec();
        if let Scope::Named(ids) = &self.scope {
            put_names(&mut out, IDS, ids);
        }
        out
    }
}

impl FromProtobuf for PullRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        filter::check(bytes)?;
        let most = limits.limits.batch_events;
        let Split { items: stores, rest } =
            split(bytes, &[STORES], "stores", Scope::MAX_STORES, Side::Request)?;
        let Split { items: ids, rest } = split(&rest, &[IDS], "ids", most, Side::Request)?;
        let form: form::PullRequest = parse(&rest, Side::Request)?;
        let scope = match form::Scope::try_from(form.scope) {
            Ok(form::Scope::Others) if stores.is_empty() && ids.is_empty() => Scope::Others,
            Ok(form::Scope::Sent) if ids.is_empty() => Scope::Sent(names(&stores, Side::Request)?),
            Ok(form::Scope::Named) if stores.is_empty() => Scope::Named(names(&ids, Side::Request)?),
            Ok(_) => {
                return Err(Side::Request.unreadable("it has `stores` or `ids` that its scope does not use"));
            }
            Err(_) => {
                return Err(Side::Request
                    .unreadable("its scope is unknown; send SCOPE_OTHERS, SCOPE_SENT or SCOPE_NAMED"));
            }
        };
        request(|| {
            Ok(PullRequest {
                caller: caller(form.caller)?,
                cursor: cursor(form.cursor)?,
                limit: form.limit.map(size),
                filter: filter::read(form.filter)?,
                scope,
                upto: form.upto,
            })
        })
    }
}
