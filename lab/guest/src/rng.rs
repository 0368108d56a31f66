// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random choices that come again with the same seed: xoshiro256** seeded by splitmix64
//! (Blackman and Vigna, <https://prng.di.unimi.it/>).

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng([u64; 4]);

impl Rng {
    /// The stream of `seed` and `lane`; lanes of one seed (threads, rounds) are independent.
    pub(crate) fn new(seed: u64, lane: u64) -> Self {
        let mut state = seed ^ lane.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Self(std::array::from_fn(|_| splitmix(&mut state)))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let mut state = 1_234_567;
        let numbers: [u64; 3] = std::array::from_fn(|_| splitmix(&mut state));
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn one_seed_gives_one_stream_and_lanes_differ() {
        let take = |seed, lane| {
            let mut rng = Rng::new(seed, lane);
            (0..64).map(|_| rng.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(7, 3), take(7, 3));
        assert_ne!(take(7, 3), take(7, 4));
        assert_ne!(take(7, 3), take(8, 3));
    }

    #[test]
    fn below_reaches_all_and_stays_below() {
        let mut rng = Rng::new(1, 1);
        let mut seen = [0u32; 5];
        for _ in 0..5000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }
}
