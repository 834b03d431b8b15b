//! Which call gets which fault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use synckit_core::ErrorKind;
use tokio::sync::watch;

use crate::fault::turns::Turns;
use crate::rng::Rng;

/// A call of a store or of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// [`EventStore::commit`](synckit_core::EventStore::commit)
    Commit,
    /// [`EventStore::facts`](synckit_core::EventStore::facts)
    Facts,
    /// [`EventStore::read`](synckit_core::EventStore::read)
    Read,
    /// [`EventStore::notes`](synckit_core::EventStore::notes)
    Notes,
    /// [`EventStore::head`](synckit_core::EventStore::head)
    Head,
    /// [`Transport::hello`](synckit_core::Transport::hello)
    Hello,
    /// [`Transport::pull`](synckit_core::Transport::pull)
    Pull,
    /// [`Transport::push`](synckit_core::Transport::push)
    Push,
    /// [`Transport::missing`](synckit_core::Transport::missing)
    Missing,
    /// [`Transport::subscribe`](synckit_core::Transport::subscribe)
    Subscribe,
    /// `close` of either.
    Close,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails with this kind and never gets through.
    Fail(ErrorKind),
    /// The call fails with `Busy`, which names the time of the next try, and never gets through.
    Busy(Duration),
    /// The call gets through and is done; the caller gets an error of this kind.
    FailAfter(ErrorKind),
    /// The call gets through twice; the caller gets the second answer.
    Duplicate,
    /// The call gets through after this time; with zero, after other tasks have run.
    Delay(Duration),
    /// The call waits until another call, which overtakes it, has ended. The caller must make one meanwhile.
    Hold,
    /// The call is done and answered, and gets through once more later, after this many other calls: 0 means just
    /// before the very next.
    Replay(u64),
    /// The caller gets `Unavailable` at once, and the call gets through later, after this many other calls: 0 means
    /// just before the very next. For a transport, not for a store: a failed commit of a store is whole or absent
    /// when it returns.
    Late(u64),
    /// The caller never gets an answer, and the call never gets through.
    Hang,
    /// The caller never gets an answer, but the call gets through and is done.
    HangAfter,
    /// The process dies before the call: this and every later one fails with `Unavailable`.
    Crash,
    /// The process dies after the call: it is done, but this and every later one fails with `Unavailable`.
    CrashAfter,
}

impl Fault {
    /// The request is lost: the call never gets through.
    pub const LOSE_REQUEST: Fault = Fault::Fail(ErrorKind::Unavailable);
    /// The answer is lost: the call is done, and the caller does not know.
    pub const LOSE_ANSWER: Fault = Fault::FailAfter(ErrorKind::Unavailable);
}

/// A fault that a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The number of the call among all calls, from 1.
    pub number: u64,
    /// The call.
    pub call: Call,
    /// The fault.
    pub fault: Fault,
}

/// Which calls get which faults. Clones share the plan, so a test can still change it after handing over a clone.
///
/// Scripted faults come first, in the order in which they were added; then the random ones, which depend only on the
/// seed and the sequence of calls.
///
/// ```
/// use synckit_testkit::{Call, Fault, FaultPlan};
///
/// let plan = FaultPlan::new();
/// plan.nth(Call::Push, 2, Fault::LOSE_ANSWER);
/// let random = FaultPlan::seeded(7).with_chance(5, Fault::LOSE_REQUEST).with_chance(5, Fault::Duplicate);
/// # let _ = random;
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    state: Arc<Mutex<State>>,
    ended: watch::Sender<u64>,
    turns: Option<Turns>,
}

#[derive(Debug, Default)]
struct State {
    script: Vec<Rule>,
    random: Option<Rng>,
    chances: Vec<(usize, Fault)>,
    calls: BTreeMap<Call, u64>,
    total: u64,
    fired: Vec<Fired>,
    crashed: bool,
}

/// **Invariant**: `left` is at least 1; the rule fires at the call that brings it to 0 and is then gone.
#[derive(Debug)]
struct Rule {
    call: Option<Call>,
    left: u64,
    fault: Fault,
}

/// What the plan decides about one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) number: u64,
    pub(super) fault: Option<Fault>,
}

impl Default for FaultPlan {
    fn default() -> Self {
        FaultPlan::new()
    }
}

impl FaultPlan {
    /// Creates a plan without faults; it only counts.
    pub fn new() -> Self {
        FaultPlan { state: Arc::default(), ended: watch::Sender::new(0), turns: None }
    }

    /// Creates a plan whose random faults depend on this seed.
    pub fn seeded(seed: u64) -> Self {
        let plan = FaultPlan::new();
        plan.locked().random = Some(Rng::new(seed));
        plan
    }

    /// Makes every call wait for its turn, before it is counted.
    pub fn with_turns(self, turns: Turns) -> Self {
        FaultPlan { turns: Some(turns), ..self }
    }

    /// Makes this fault happen in `percent` of 100 calls. Without a seed, the seed is 0.
    pub fn with_chance(self, percent: usize, fault: Fault) -> Self {
        let mut state = self.locked();
        state.random.get_or_insert_with(|| Rng::new(0));
        state.chances.push((percent, fault));
        drop(state);
        self
    }

    /// Makes this fault happen at the n-th call of this kind from now on; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn nth(&self, call: Call, n: u64, fault: Fault) {
        self.add(Some(call), n, fault);
    }

    /// Makes this fault happen at the n-th call of any kind from now on; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn nth_of_all(&self, n: u64, fault: Fault) {
        self.add(None, n, fault);
    }

    /// Removes all faults, also a crash.
    pub fn heal(&self) {
        let mut state = self.locked();
        state.script.clear();
        state.chances.clear();
        state.crashed = false;
    }

    /// Returns whether a crash has happened and was not healed.
    pub fn is_crashed(&self) -> bool {
        self.locked().crashed
    }

    /// Returns how often this call was made.
    pub fn calls(&self, call: Call) -> u64 {
        self.locked().calls.get(&call).copied().unwrap_or(0)
    }

    /// Returns how many calls were made.
    pub fn total(&self) -> u64 {
        self.locked().total
    }

    /// Returns the faults that calls got, in order.
    pub fn fired(&self) -> Vec<Fired> {
        self.locked().fired.clone()
    }

    fn add(&self, call: Option<Call>, n: u64, fault: Fault) {
        assert!(n > 0, "calls are counted from 1");
        self.locked().script.push(Rule { call, left: n, fault });
    }

    /// Waits until it is the turn of a call.
    pub(super) async fn turn(&self) {
        if let Some(turns) = &self.turns {
            turns.wait().await;
        }
    }

    /// Counts a call and decides what happens to it.
    pub(super) fn judge(&self, call: Call) -> Verdict {
        let mut state = self.locked();
        let state = &mut *state;
        state.total += 1;
        *state.calls.entry(call).or_default() += 1;
        let number = state.total;
        if state.crashed {
            return Verdict { number, fault: Some(Fault::Crash) };
        }
        let mut fault = None;
        state.script.retain_mut(|rule| {
            if rule.call.is_some_and(|other| other != call) {
                return true;
            }
            rule.left -= 1;
            if rule.left == 0 && fault.is_none() {
                fault = Some(rule.fault);
            }
            rule.left > 0
        });
        if let Some(rng) = &mut state.random {
            for (percent, random) in &state.chances {
                // Every chance draws at every call, so one fault does not shift the others.
                if rng.chance(*percent) && fault.is_none() {
                    fault = Some(*random);
                }
            }
        }
        if let Some(fault) = fault {
            state.fired.push(Fired { number, call, fault });
            state.crashed = matches!(fault, Fault::Crash | Fault::CrashAfter);
        }
        Verdict { number, fault }
    }

    /// Notes that a call has ended.
    pub(super) fn end(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits until another call has ended.
    pub(super) async fn overtaken(&self) {
        let mut ended = self.ended.subscribe();
        // The sender is alive as long as `self` is.
        let _ = ended.changed().await;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_faults_meet_the_call_they_name() {
        let plan = FaultPlan::new();
        plan.nth(Call::Push, 2, Fault::Duplicate);
        plan.nth_of_all(4, Fault::Hang);
        let calls = [Call::Push, Call::Pull, Call::Push, Call::Pull, Call::Push];
        let faults = calls.map(|call| plan.judge(call).fault);
        assert_eq!(faults, [None, None, Some(Fault::Duplicate), Some(Fault::Hang), None]);
        assert_eq!((plan.calls(Call::Push), plan.calls(Call::Pull), plan.total()), (3, 2, 5));
        assert_eq!(plan.fired()[0], Fired { number: 3, call: Call::Push, fault: Fault::Duplicate });
    }

    #[test]
    fn random_faults_follow_from_the_seed() {
        let faults = |seed| {
            let plan = FaultPlan::seeded(seed).with_chance(30, Fault::Duplicate).with_chance(30, Fault::Hang);
            (0..100).map(|_| plan.judge(Call::Push).fault).collect::<Vec<_>>()
        };
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
        let fired = faults(1).iter().flatten().count();
        assert!((30..70).contains(&fired), "{fired}");
    }

    #[test]
    fn a_crash_lasts_until_it_is_healed() {
        let plan = FaultPlan::new();
        plan.nth(Call::Commit, 1, Fault::CrashAfter);
        assert_eq!(plan.judge(Call::Commit).fault, Some(Fault::CrashAfter));
        assert_eq!(plan.judge(Call::Read).fault, Some(Fault::Crash));
        assert!(plan.is_crashed());
        plan.heal();
        assert!(plan.judge(Call::Read).fault.is_none() && !plan.is_crashed());
    }
}
