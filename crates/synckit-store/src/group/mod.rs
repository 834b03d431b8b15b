//! Commits in groups: all that wait go into one transaction, which is made durable once.

// - `job.rs`: a commit that waits, and who waits for it
// - `queue.rs`: the commits that wait
// - `writer.rs`: a thread that commits group by group
// - `turns.rs`: commits by turns, without a thread
// - `pending.rs`: what a group is about to write, on top of what was read
// - `known.rs`: what is known of a log without asking

mod job;
mod known;
mod pending;
mod queue;
mod turns;
mod writer;

pub use job::{Answer, Job, share_error};
pub use known::Known;
pub use pending::Pending;
pub use queue::Queue;
pub use turns::Turns;
pub use writer::{Answers, GroupWriter};
