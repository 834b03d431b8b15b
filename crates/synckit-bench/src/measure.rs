//! How a row is measured: synckit and the raw limit in turn, in one run, so that both see the same machine.

use std::error::Error;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The result of a measurement.
pub(crate) type Measured<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How many events the large rows move.
    pub(crate) events: usize,
    /// How often each side of a row is measured.
    pub(crate) rounds: usize,
}

/// Work that was done, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) work: f64,
    pub(crate) time: Duration,
}

impl Sample {
    /// Times a piece of work.
    pub(crate) fn of(work: usize, run: impl FnOnce() -> Measured<()>) -> Measured<Sample> {
        let started = Instant::now();
        run()?;
        Ok(Sample { work: work as f64, time: started.elapsed() })
    }

    fn rate(&self) -> f64 {
        self.work / self.time.as_secs_f64()
    }
}

/// One line of the table.
pub(crate) struct Row {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What is measured.
    pub(crate) about: &'static str,
    /// The limit it is compared with.
    pub(crate) limit: &'static str,
    /// The unit, such as `events/s`.
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
}

/// Measures once more on a setup that is kept between rounds.
pub(crate) type Standing = Box<dyn FnMut() -> Measured<Sample>>;

/// How a row is measured, and what it must reach.
pub(crate) enum Kind {
    /// The throughput of both sides: the ratio of synckit to the raw limit is at least this.
    Ratio { at_least: f64, ours: fn(Scale) -> Measured<Sample>, raw: fn(Scale) -> Measured<Sample> },
    /// The throughput of both sides, each on a setup that is made once and kept for all rounds: the ratio of the
    /// large side to the small one is at least this.
    Growth { at_least: f64, large: fn(Scale) -> Measured<Standing>, small: fn(Scale) -> Measured<Standing> },
    /// A quantity that is at most this.
    Bound { at_most: f64, ours: fn(Scale) -> Measured<f64> },
}

/// The results of the rounds of one side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let (first, last) = (values[0], values[values.len() - 1]);
        Spread { median: values[values.len() / 2], min: first, max: last }
    }
}

/// The measurement of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) limit: String,
    pub(crate) unit: String,
    pub(crate) ours: Spread,
    /// Absent if a quantity is bounded, not compared.
    pub(crate) raw: Option<Spread>,
    /// Synckit over raw, round by round; for a bound, the bound over the quantity. More is better.
    pub(crate) ratio: Spread,
    /// The least ratio that is required; 1 for a bound.
    pub(crate) at_least: f64,
}

impl Figure {
    /// Returns whether the ratio is at least what is required.
    pub(crate) fn holds(&self) -> bool {
        self.ratio.median >= self.at_least
    }
}

impl Row {
    /// Measures round by round, both sides in turn. A first round warms up files and allocators and is not counted.
    pub(crate) fn measure(&self, scale: Scale) -> Measured<Figure> {
        let (mut mine, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut measure: Box<dyn FnMut(usize) -> Measured<Round>> = match self.kind {
            Kind::Ratio { ours, raw, .. } => {
                Box::new(move |round| in_turn(round, || ours(scale), || raw(scale)))
            }
            Kind::Growth { large, small, .. } => {
                let (mut large, mut small) = (large(scale)?, small(scale)?);
                Box::new(move |round| in_turn(round, &mut large, &mut small))
            }
            Kind::Bound { at_most, ours } => Box::new(move |_| {
                let ours = ours(scale)?;
                Ok((ours, None, at_most / ours))
            }),
        };
        for round in 0..=scale.rounds.max(1) {
            let (ours, raw, ratio) = measure(round)?;
            if round > 0 {
                mine.push(ours);
                theirs.extend(raw);
                ratios.push(ratio);
            }
        }
        Ok(Figure {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            limit: self.limit.to_owned(),
            unit: self.unit.to_owned(),
            ours: Spread::of(mine),
            raw: (!theirs.is_empty()).then(|| Spread::of(theirs)),
            ratio: Spread::of(ratios),
            at_least: match self.kind {
                Kind::Ratio { at_least, .. } | Kind::Growth { at_least, .. } => at_least,
                Kind::Bound { .. } => 1.0,
            },
        })
    }
}

/// The result of one round: synckit, raw if there is one, and the ratio.
type Round = (f64, Option<f64>, f64);

/// Runs both, alternating which of them is first.
fn in_turn(
    round: usize,
    ours: impl FnOnce() -> Measured<Sample>,
    raw: impl FnOnce() -> Measured<Sample>,
) -> Measured<Round> {
    let (ours, raw) = if round.is_multiple_of(2) {
        let raw = raw()?;
        (ours()?, raw)
    } else {
        (ours()?, raw()?)
    };
    Ok((ours.rate(), Some(raw.rate()), ours.rate() / raw.rate()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_median_and_ends() {
        assert_eq!(Spread::of(vec![9.0, 1.0, 5.0]), Spread { median: 5.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn a_row_is_the_ratio_of_both_sides() {
        let row = Row {
            name: "n",
            about: "",
            limit: "",
            unit: "events/s",
            kind: Kind::Ratio {
                at_least: 0.5,
                ours: |_| Ok(Sample { work: 10.0, time: Duration::from_secs(2) }),
                raw: |_| Ok(Sample { work: 10.0, time: Duration::from_secs(1) }),
            },
        };
        let figure = row.measure(Scale { events: 1, rounds: 3 }).expect("measures");
        assert_eq!((figure.ratio.median, figure.ours.median), (0.5, 5.0));
        assert_eq!(figure.raw.map(|raw| raw.median), Some(10.0));
        assert!(figure.holds());
    }

    #[test]
    fn what_grows_is_set_up_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static SETUPS: AtomicUsize = AtomicUsize::new(0);
        fn taking(seconds: u64) -> Measured<Standing> {
            SETUPS.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(move || Ok(Sample { work: 10.0, time: Duration::from_secs(seconds) })))
        }
        let kind = Kind::Growth { at_least: 0.9, large: |_| taking(5), small: |_| taking(4) };
        let row = Row { name: "n", about: "", limit: "", unit: "events/s", kind };
        let figure = row.measure(Scale { events: 1, rounds: 3 }).expect("measures");
        assert_eq!((figure.ratio.median, figure.holds()), (0.8, false));
        assert_eq!(SETUPS.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_bound_holds_up_to_itself() {
        let row = |ours| Row {
            name: "n",
            about: "",
            limit: "",
            unit: "bytes",
            kind: Kind::Bound { at_most: 150.0, ours },
        };
        let scale = Scale { events: 1, rounds: 1 };
        assert!(row(|_| Ok(150.0)).measure(scale).expect("measures").holds());
        assert!(!row(|_| Ok(151.0)).measure(scale).expect("measures").holds());
    }
}
