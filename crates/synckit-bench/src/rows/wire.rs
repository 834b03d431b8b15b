//! The messages: a page of 1,000 events encoded and decoded.

use std::hint::black_box;

use prost::Message;
use synckit::{StoreId, store::Cursor, transport::PullResponse};
use synckit_wire::{Decode, Encode, WireLimits};

use crate::measure::{Measured, Sample, Scale};
use crate::raw;
use crate::sample::{PAGE, events};

/// The number of pages in one measurement.
const PAGES: usize = 30;

fn page() -> Measured<PullResponse> {
    let next = Cursor::start(StoreId::from_bytes([7; 16]));
    Ok(PullResponse { events: events(PAGE)?, ids: Vec::new(), unreadable: Vec::new(), next, more: true })
}

pub(super) fn json(_: Scale) -> Measured<Sample> {
    let (page, limits) = (page()?, WireLimits::default());
    Sample::of(PAGES * PAGE, || {
        for _ in 0..PAGES {
            let bytes = black_box(page.to_json());
            black_box(PullResponse::from_json(&bytes, &limits)?);
        }
        Ok(())
    })
}

pub(super) fn plain_json(_: Scale) -> Measured<Sample> {
    let page = raw::json::page(&events(PAGE)?)?;
    Sample::of(PAGES * PAGE, || {
        for _ in 0..PAGES {
            let bytes = black_box(serde_json::to_vec(&page)?);
            black_box(serde_json::from_slice::<raw::json::Page>(&bytes)?);
        }
        Ok(())
    })
}

pub(super) fn protobuf(_: Scale) -> Measured<Sample> {
    let (page, limits) = (page()?, WireLimits::default());
    Sample::of(PAGES * PAGE, || {
        for _ in 0..PAGES {
            let bytes = black_box(page.to_protobuf());
            black_box(PullResponse::from_protobuf(&bytes, &limits)?);
        }
        Ok(())
    })
}

pub(super) fn plain_protobuf(_: Scale) -> Measured<Sample> {
    let page = raw::protobuf::page(&events(PAGE)?)?;
    Sample::of(PAGES * PAGE, || {
        for _ in 0..PAGES {
            let bytes = black_box(page.encode_to_vec());
            black_box(raw::protobuf::Page::decode(&bytes[..])?);
        }
        Ok(())
    })
}
