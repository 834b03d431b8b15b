//! How a fault is applied to one call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synckit_core::{Error, ErrorKind, Result};

use crate::fault::plan::{Call, Fault, FaultPlan};

type Attempt<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
type Delivery = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The path between a caller and what it calls. Clones share it.
#[derive(Clone)]
pub(super) struct Line {
    plan: FaultPlan,
    component: &'static str,
    /// What still gets through, and before which call.
    under_way: Arc<Mutex<Vec<(u64, Delivery)>>>,
}

impl Line {
    pub(super) fn new(plan: FaultPlan, component: &'static str) -> Self {
        Line { plan, component, under_way: Arc::default() }
    }

    pub(super) fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// Makes a call as the plan allows it.
    pub(super) async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        attempt: impl Fn() -> Attempt<T>,
    ) -> Result<T> {
        self.plan.turn().await;
        let verdict = self.plan.judge(call);
        if verdict.fault != Some(Fault::Crash) {
            self.deliver(verdict.number).await;
        }
        let answer = match verdict.fault {
            None => attempt().await,
            Some(Fault::Fail(kind)) => Err(self.error(kind, "the call was lost")),
            Some(Fault::Busy(delay)) => {
                Err(self.error(ErrorKind::Busy, "there is no room").with_retry_after(delay))
            }
            Some(Fault::FailAfter(kind)) => {
                let _ = attempt().await;
                Err(self.error(kind, "the answer was lost"))
            }
            Some(Fault::Duplicate) => {
                let _ = attempt().await;
                attempt().await
            }
            Some(Fault::Delay(time)) => {
                if time.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(time).await;
                }
                attempt().await
            }
            Some(Fault::Hold) => {
                self.plan.overtaken().await;
                attempt().await
            }
            Some(Fault::Replay(between)) => {
                let answer = attempt().await;
                self.send_later(verdict.number + 1 + between, attempt());
                answer
            }
            Some(Fault::Late(between)) => {
                self.send_later(verdict.number + 1 + between, attempt());
                Err(self.error(ErrorKind::Unavailable, "the call is late"))
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                let _ = attempt().await;
                std::future::pending().await
            }
            Some(Fault::Crash) => Err(self.error(ErrorKind::Unavailable, "the process has died")),
            Some(Fault::CrashAfter) => {
                let _ = attempt().await;
                Err(self.error(ErrorKind::Unavailable, "the process has died"))
            }
        };
        self.plan.end();
        answer
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, format!("{message}, as the fault plan wants it")).at(self.component, "fault")
    }

    fn send_later<T: Send + 'static>(&self, due: u64, attempt: Attempt<T>) {
        let delivery = Box::pin(async move {
            let _ = attempt.await;
        });
        self.locked().push((due, delivery));
    }

    /// Delivers what is due before this call.
    async fn deliver(&self, number: u64) {
        while let Some(delivery) = self.due(number) {
            delivery.await;
        }
    }

    fn due(&self, number: u64) -> Option<Delivery> {
        let mut under_way = self.locked();
        let next = under_way.iter().position(|(due, _)| *due <= number)?;
        Some(under_way.remove(next).1)
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(u64, Delivery)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = self.locked().len();
        f.debug_struct("Line").field("plan", &self.plan).field("under_way", &under_way).finish()
    }
}
