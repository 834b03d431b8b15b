//! Everything heals, and what must hold then.

use std::sync::atomic::Ordering;

use synckit::Digest;
use synckit_core::{EventStore, StoreId};

use crate::check::{self, Checked};
use crate::sim::Summary;
use crate::sim::syncing::How;
use crate::sim::world::World;

impl World {
    /// Repairs every link, sets every clock right, and syncs over all links until nothing moves.
    pub(super) async fn heal(&mut self) -> Checked {
        self.trace.push("everything heals".to_owned());
        self.cut.clear();
        self.replicas.iter().for_each(|replica| replica.skew.store(0, Ordering::Relaxed));
        for replica in &self.replicas {
            let log = check::log(&replica.store).await?.into_iter();
            self.kept.extend(log.map(|stored| stored.event.id).filter(|id| self.created.contains_key(id)));
        }
        self.summary.lost_with_a_restore = self.created.len() - self.kept.len();
        for round in 1..=4 * self.replicas.len() + 4 {
            let before = self.heads().await?;
            for link in self.links.clone() {
                self.sync(link, How::whole()).await?;
            }
            if before == self.heads().await? {
                self.summary.rounds = round;
                return Ok(());
            }
        }
        Err("P3: the replicas never come to rest".to_owned())
    }

    async fn heads(&self) -> Checked<Vec<(StoreId, u64)>> {
        let mut heads = Vec::new();
        for replica in &self.replicas {
            let head = replica.store.head().await.map_err(|error| error.to_string())?;
            heads.push((head.store, head.position));
        }
        Ok(heads)
    }

    pub(super) async fn check(&mut self) -> Checked<Summary> {
        let mut digests: Vec<Digest> = Vec::new();
        for (at, replica) in self.replicas.iter().enumerate() {
            self.in_order(at).await?;
            let name = &replica.name;
            let log = check::log(&replica.store).await?;
            // What is still under way may bring back events that no store held.
            check::genuine(name, &log, &self.created)?;
            check::complete(name, &log, self.kept.iter())?;
            digests.push(check::view(name, &replica.store, &log).await?);
            check::settled(name, &replica.store).await?;
            check::shown(name, &synckit::Replica::new(replica.store.clone())).await?;
            self.summary.resolutions = log.iter().filter(|stored| stored.event.is_resolution()).count();
            self.summary.restamps = log.iter().filter(|stored| stored.event.is_restamp()).count();
        }
        if let Some(at) = digests.iter().position(|digest| *digest != digests[0]) {
            return Err(self.difference(at).await?);
        }
        self.summary.digest = format!("{} {}", digests[0].set, digests[0].view);
        Ok(self.summary.clone())
    }

    /// Returns the event in which a replica differs from the first.
    async fn difference(&self, at: usize) -> Checked<String> {
        let (first, other) = (&self.replicas[0], &self.replicas[at]);
        let theirs = check::log(&other.store).await?;
        for stored in check::log(&first.store).await? {
            let same = theirs.iter().find(|other| other.event.id == stored.event.id);
            if same.is_none_or(|same| same.event != stored.event) {
                let same = same.map(|same| &same.event);
                return Ok(format!("P3: {} holds {:?}, {} {same:?}", first.name, stored.event, other.name));
            }
        }
        Ok(format!("P3: {} and {} show different views", first.name, other.name))
    }
}
