//! Commits in groups: all that wait go into one transaction, which is made durable once.

// - `job.rs`: a commit that waits, and who waits for it
// - `queue.rs`: the commits that wait
// - `writer.rs`: a thread that commits group by group

mod job;
mod queue;
mod writer;

pub use job::{Answer, Job, share_error};
pub use queue::Queue;
pub use writer::{Answers, GroupWriter};
