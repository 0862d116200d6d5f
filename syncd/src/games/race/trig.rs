//! Sine and cosine in integers.
//!
//! An angle is 16 bits to the turn. The table has 1024 entries to the turn and is computed at
//! compile time by rotating a vector, so that no floating point is involved anywhere.

/// What 1 is in the results of [`sin`] and [`cos`].
pub(crate) const ONE: i32 = 1 << 14;

/// Table steps of a quarter turn.
const QUARTER: usize = 256;

const SINES: [i32; QUARTER + 1] = quarter();

/// Rotates (1, 0) by a 1024th of a turn 256 times, with 40 fractional bits: the error stays far
/// below the 14 bits that are kept.
const fn quarter() -> [i32; QUARTER + 1] {
    const FRACTION: u32 = 40;
    const STEP_COS: i128 = 1_099_490_929_780;
    const STEP_SIN: i128 = 6_746_476_518;
    let mut table = [0; QUARTER + 1];
    let (mut x, mut y) = (1i128 << FRACTION, 0i128);
    let mut index = 0;
    while index <= QUARTER {
        let rounding = 1 << (FRACTION - 15);
        table[index] = ((y + rounding) >> (FRACTION - 14)) as i32;
        (x, y) = (
            (x * STEP_COS - y * STEP_SIN) >> FRACTION,
            (x * STEP_SIN + y * STEP_COS) >> FRACTION,
        );
        index += 1;
    }
    table
}

/// Sine of an angle, times [`ONE`].
pub(crate) fn sin(angle: u16) -> i32 {
    let step = usize::from(angle >> 6);
    let within = step % QUARTER;
    match step / QUARTER {
        0 => SINES[within],
        1 => SINES[QUARTER - within],
        2 => -SINES[within],
        _ => -SINES[QUARTER - within],
    }
}

/// Cosine of an angle, times [`ONE`].
pub(crate) fn cos(angle: u16) -> i32 {
    sin(angle.wrapping_add(1 << 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_are_exact_and_the_rest_lies_on_the_circle() {
        assert_eq!([sin(0), cos(0)], [0, ONE]);
        assert_eq!([sin(1 << 14), cos(1 << 14)], [ONE, 0]);
        assert_eq!([sin(1 << 15), cos(1 << 15)], [0, -ONE]);
        for angle in (0..=u16::MAX).step_by(64) {
            let length = sin(angle).pow(2) + cos(angle).pow(2);
            assert!((length - ONE * ONE).abs() < 3 * ONE, "{angle}: {length}");
        }
        assert_eq!(sin(8192), 11_585);
    }
}
