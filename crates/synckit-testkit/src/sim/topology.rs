//! Who syncs with whom.

use crate::Rng;

/// Who syncs with whom: pairs of the calling and the serving side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Hub,
    TwoHubs,
    Chain,
    Ring,
    Mesh,
}

impl Topology {
    pub(super) fn any(rng: &mut Rng) -> Self {
        let all = [Topology::Hub, Topology::TwoHubs, Topology::Chain, Topology::Ring, Topology::Mesh];
        all[rng.below(all.len())]
    }

    /// Returns the links between this number of replicas.
    pub(super) fn links(self, count: usize) -> Vec<(usize, usize)> {
        match self {
            Topology::Hub => (1..count).map(|spoke| (spoke, 0)).collect(),
            Topology::TwoHubs => (2..count).flat_map(|spoke| [(spoke, 0), (spoke, 1)]).collect(),
            Topology::Chain => (1..count).map(|at| (at, at - 1)).collect(),
            Topology::Ring => (0..count).map(|at| (at, (at + 1) % count)).collect(),
            Topology::Mesh => (0..count)
                .flat_map(|from| (0..count).map(move |to| (from, to)))
                .filter(|(a, b)| a != b)
                .collect(),
        }
    }
}
