//! Runs the simulator over many seeds. For more of them: `cargo xtask simulate --seeds 100000`.

use synckit_testkit::sim;

const SEEDS: u64 = 5_000;

#[test]
fn every_seed_keeps_the_promises() {
    let workers = 2;
    std::thread::scope(|scope| {
        let run =
            |worker| move || (worker..SEEDS).step_by(workers as usize).map(sim::run).collect::<Vec<_>>();
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(run(worker))).collect();
        let mut summaries = Vec::new();
        for thread in threads {
            for result in thread.join().expect("the simulator does not panic") {
                match result {
                    Ok(summary) => summaries.push(summary),
                    Err(failure) => panic!("{failure}"),
                }
            }
        }
        // The runs must include what they are there for.
        assert!(summaries.iter().map(|summary| summary.crashes).sum::<usize>() > 1_000);
        assert!(summaries.iter().map(|summary| summary.together).sum::<usize>() > 1_000);
        assert!(summaries.iter().map(|summary| summary.restores).sum::<usize>() > 100);
        assert!(summaries.iter().map(|summary| summary.lost_with_a_restore).sum::<usize>() > 100);
        assert!(summaries.iter().map(|summary| summary.resolutions).sum::<usize>() > 1_000);
        assert!(summaries.iter().map(|summary| summary.syncs.1).sum::<usize>() > 1_000);
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        assert_eq!(sim::run(seed), sim::run(seed));
    }
}
