// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stop in order: one token that every wait in the lab also waits for.

use tokio::sync::watch;

/// How urgently to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Go on.
    Run,
    /// Finish in order: let children end, keep what they have.
    Orderly,
    /// At once: kill children.
    Now,
}

/// A handle that tells whether to stop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Level>);

/// The other end: whoever says stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Level>);

/// A new pair, running.
pub fn channel() -> (Stopper, Stop) {
    let (tx, rx) = watch::channel(Level::Run);
    (Stopper(tx), Stop(rx))
}

/// A handle for work that nobody will stop.
pub fn never() -> Stop {
    channel().1
}

impl Stopper {
    /// Says stop, one level more urgent each time.
    pub fn escalate(&self) {
        self.0.send_modify(|level| {
            *level = match level {
                Level::Run => Level::Orderly,
                Level::Orderly | Level::Now => Level::Now,
            }
        });
    }
}

impl Stop {
    /// The level now.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }
    /// Waits until the level is at least this urgent. Never returns if the stopper is gone first.
    pub async fn reached(&mut self, level: Level) {
        if self.0.wait_for(|now| *now >= level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
