//! Random numbers from a seed, so that a failure is a number that replays.

/// The variable that names a seed to be run again.
const VARIABLE: &str = "CHATWIRE_TEST_SEED";

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// A new seed, or the one to be run again. It is printed, which shows when the test fails.
    #[allow(clippy::print_stdout, reason = "shown for a test that fails")]
    pub fn new() -> Random {
        let fresh = || {
            blake3::hash(format!("{:?}", std::time::SystemTime::now()).as_bytes()).as_bytes()[0..8].to_vec()
        };
        let seed = match std::env::var(VARIABLE) {
            Ok(seed) => seed.parse().expect("a number"),
            Err(_) => u64::from_be_bytes(fresh().try_into().expect("eight bytes")),
        };
        println!("{VARIABLE}={seed}");
        Random(seed)
    }

    pub fn from(seed: u64) -> Random {
        Random(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % n as u64).expect("below a usize")
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n.div_ceil(8)).flat_map(|_| self.number().to_be_bytes()).take(n).collect()
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
