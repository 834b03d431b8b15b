//! The small things, one by one: clocks, the encoding of pages, planning.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use synckit::{Dot, NodeId, StoreId, VectorClock, store::Cursor, transport::PullResponse};
use synckit_bench::PageOfEvents;
use synckit_bench::sample::{PAGE, events};
use synckit_wire::{Decode, Encode, WireLimits};

/// Measures clocks of few and of many nodes. The right one is ahead at the last node, so all of both is compared.
fn clocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clock");
    for nodes in [3, 10, 100, 1_000] {
        let name = |at: usize| NodeId::new(format!("till-{at:05}")).expect("a short name");
        let entries = (0..nodes).map(|at| (name(at), 7));
        let left = VectorClock::from_entries(entries).expect("at most 1,000 nodes");
        let last = name(nodes - 1);
        let mut right = left.clone();
        right.increment(&last).expect("a known node");
        let dot = Dot::new(last, 8);
        let id = |name| BenchmarkId::new(name, nodes);
        group.bench_function(id("increment"), |bencher| {
            let mut clock = left.clone();
            bencher.iter(|| clock.increment(black_box(&dot.node)));
        });
        group.bench_function(id("merge"), |bencher| {
            let mut clock = left.clone();
            bencher.iter(|| clock.merge(black_box(&right)));
        });
        group.bench_function(id("compare"), |bencher| {
            bencher.iter(|| black_box(&left).compare(black_box(&right)));
        });
        group.bench_function(id("has_seen"), |bencher| {
            bencher.iter(|| black_box(&left).has_seen(black_box(&dot)));
        });
    }
}

/// Measures encoding and decoding a page of 1,000 events.
fn wire(criterion: &mut Criterion) {
    let (next, limits) = (Cursor::start(StoreId::from_bytes([7; 16])), WireLimits::default());
    let events = events(PAGE).expect("samples");
    let page = PullResponse { events, ids: Vec::new(), unreadable: Vec::new(), next, more: true };
    let (json, protobuf) = (page.to_json(), page.to_protobuf());
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Elements(PAGE as u64));
    group.bench_function("encode json", |bencher| bencher.iter(|| black_box(&page).to_json()));
    group.bench_function("encode protobuf", |bencher| bencher.iter(|| black_box(&page).to_protobuf()));
    // The decoded page is dropped outside the measurement.
    group.bench_function("decode json", |bencher| {
        bencher.iter_batched(
            || (),
            |()| PullResponse::from_json(black_box(&json), &limits),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("decode protobuf", |bencher| {
        bencher.iter_batched(
            || (),
            |()| PullResponse::from_protobuf(black_box(&protobuf), &limits),
            BatchSize::LargeInput,
        );
    });
}

/// Measures planning a page of 1,000 events over 1,000 aggregates that have a history.
fn planning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(PAGE as u64));
    let mut planner = PageOfEvents::new().expect("samples");
    planner.page().expect("the history begins");
    group.bench_function("page", |bencher| {
        bencher.iter_custom(|pages| {
            (0..pages).map(|_| planner.page().expect("a page is planned")).sum::<Duration>()
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    clocks(&mut criterion);
    wire(&mut criterion);
    planning(&mut criterion);
    criterion.final_summary();
}
