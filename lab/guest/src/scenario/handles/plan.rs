// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a round: a value, planned from the seed alone.

use crate::rng::Rng;
use crate::scenario::step::operations;

operations! {
    /// The operations of this scenario. Those without a weight belong to the rounds.
    pub(crate) enum Op {
        Ghost "ghost" 30 "Unlinks an open file of its own: its handle opens as long as the file is open, then never again.",
        Renamed "renamed" 30 "Opens a directory and a file of its own by handle after a rename.",
        Moved "moved" 30 "Opens a directory and a file of its own by handle after a move to another parent.",
        Dead "dead" 15 "Opens a removed directory of its own by handle.",
        Walk "walk" 30 "Opens a directory of a chain by its path.",
        Drop "drop" 2 "Drops dentries and inodes.",
        Chill "chill" 0 "Drops dentries and inodes before a round.",
        Handle "handle" 0 "Opens a directory of a cold chain by its handle.",
        File "file" 0 "Opens a file in a cold chain by its handle, and reads it.",
        Path "path" 0 "Opens a directory of a cold chain by its path.",
        Move "move" 0 "Moves a directory of a cold chain to another parent, and back.",
        RemoteStat "remote-stat" 0 "Stats a name in a held directory of an NFS mount, after the server has gone cold.",
        RemoteOpen "remote-open" 0 "Opens a name in such a directory.",
        RemoteOwn "remote-own" 0 "Makes and unlinks a name in such a directory.",
    }
}

const LANE: u64 = 1 << 63;

/// A round: the caches are dropped, then all meet at one chain after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    seed: u64,
    /// The chain that comes first.
    pub(crate) first: u32,
    /// In this round the last of the team moves directories of the chains.
    pub(crate) moving: bool,
}

/// What a member does at a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act {
    /// What.
    pub(crate) op: Op,
    /// The directory of the chain; past its end, the member's own leaf.
    pub(crate) level: u32,
}

impl Round {
    /// The round of that number.
    pub(crate) fn new(seed: u64, number: u32, chains: u32) -> Self {
        let mut rng = Rng::new(seed, LANE | u64::from(number));
        Self {
            first: rng.below(chains),
            moving: rng.below(4) == 0,
            seed: rng.next(),
        }
    }

    /// What `member` of `team` does at the chain that comes `turn`th, of `depth` directories.
    pub(crate) fn act(
        &self,
        turn: u32,
        (member, team): (u32, u32),
        depth: u32,
        remote: bool,
    ) -> Act {
        let mut of_turn = Rng::new(self.seed, turn.into());
        // Half of the times all want one directory, else each its own leaf: then they meet on the way up.
        let level = match of_turn.below(4) {
            0 => depth,
            1 => of_turn.below(depth),
            _ => depth - 1,
        };
        let mut rng = Rng::new(of_turn.next(), member.into());
        let op = match rng.below(16) {
            _ if self.moving && team > 1 && member == team - 1 => Op::Move,
            0..9 if remote && !self.moving => {
                [Op::RemoteStat, Op::RemoteOpen, Op::RemoteOwn][rng.below(3) as usize]
            }
            0..12 => Op::Handle,
            12..15 => Op::Path,
            _ => Op::File,
        };
        Act { op, level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_again_with_its_seed_and_moves_rarely() {
        let rounds = |seed| -> Vec<Round> { (0..200).map(|n| Round::new(seed, n, 8)).collect() };
        assert_eq!(rounds(4), rounds(4));
        assert_ne!(rounds(4), rounds(5));
        let acts = |round: &Round| -> Vec<Act> {
            (0..8)
                .map(|turn| round.act(turn, (5, 6), 3, true))
                .collect()
        };
        for round in rounds(4) {
            assert_eq!(acts(&round), acts(&round));
            assert!(acts(&round).iter().all(|act| act.level <= 3));
            assert_eq!(
                acts(&round).iter().all(|act| act.op == Op::Move),
                round.moving
            );
        }
        let moving = rounds(4).iter().filter(|round| round.moving).count();
        assert!((30..75).contains(&moving), "{moving}");
    }

    #[test]
    fn only_a_network_filesystem_has_remote_acts() {
        let round = Round::new(1, 1, 4);
        let remote = |remote| {
            (0..100).any(|turn| round.act(turn, (0, 6), 3, remote).op as u8 >= Op::RemoteStat as u8)
        };
        assert!(!remote(false) && (remote(true) || round.moving));
    }
}
