//! Numbers, words and times from a seed (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014): the same on every machine, with nothing from outside.

use std::time::Duration;

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Words are made of these, so that a search for one finds some titles and names, and not most of them.
const SYLLABLES: [&str; 20] = [
    "ba", "cor", "di", "el", "fu", "gar", "hi", "jo", "ka", "lum", "mi", "nor", "os", "pe", "ri", "sul", "ta", "ur",
    "vel", "zo",
];

/// A generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// One that depends on the seed only.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// One for part `number` of stream `stream`: parts can be made in any order.
    pub fn part(seed: u64, stream: u64, number: u64) -> Self {
        let of_stream = Random(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03)).next();
        Random(Random(of_stream ^ number.wrapping_mul(0xa076_1d64_78bd_642f)).next())
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `count - 1`; 0 if there is nothing to choose from.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }

    /// Both ends count.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1).max(1) as u64) as i64
    }

    /// 0 up to 1, 1 excluded.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this share.
    pub fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    /// One of these; `None` if there is none.
    pub fn choose<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        among.get(self.below(among.len() as u64) as usize)
    }

    /// Exponentially distributed with this mean, at most `cap` times the mean.
    pub fn exponential(&mut self, mean: Duration, cap: f64) -> Duration {
        mean.mul_f64((-(1.0 - self.fraction()).ln()).min(cap))
    }

    /// A word of so many syllables.
    pub fn word(&mut self, syllables: usize) -> String {
        (0..syllables).map(|_| SYLLABLES[self.below(SYLLABLES.len() as u64) as usize]).collect()
    }

    /// So many digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    /// Words, `shortest` to `longest` characters in all.
    pub fn text(&mut self, shortest: usize, longest: usize) -> String {
        let length = self.between(shortest as i64, longest as i64) as usize;
        let mut text = String::with_capacity(length + 8);
        while text.len() < length {
            for _ in 0..self.between(1, 4) {
                text.push_str(SYLLABLES[self.below(SYLLABLES.len() as u64) as usize]);
            }
            text.push(' ');
        }
        text.truncate(length);
        // Neither a search nor a fixed-width column should depend on a space at the end.
        if text.ends_with(' ') {
            text.pop();
            text.push('.');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_differ_and_are_the_same_again() {
        let first = |stream, number| Random::part(1, stream, number).next();
        assert_eq!(first(3, 4), first(3, 4));
        let mut all: Vec<u64> = (0..50).flat_map(|stream| (0..50).map(move |number| first(stream, number))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2_500);
    }

    #[test]
    fn think_times_have_their_mean_and_cap() {
        let (mut random, mean) = (Random::new(7), Duration::from_secs(7));
        let times: Vec<f64> = (0..100_000).map(|_| random.exponential(mean, 10.0).as_secs_f64()).collect();
        let average = times.iter().sum::<f64>() / times.len() as f64;
        assert!((average - 7.0).abs() < 0.1, "{average}");
        assert!(times.iter().all(|time| *time <= 70.0));
        assert_eq!((0..1_000_000).map(|_| random.exponential(mean, 10.0)).max(), Some(mean * 10));
    }

    #[test]
    fn texts_keep_their_lengths() {
        let mut random = Random::new(5);
        for _ in 0..1_000 {
            let text = random.text(14, 60);
            assert!((14..=60).contains(&text.len()) && !text.ends_with(' '), "{text}");
        }
    }
}
