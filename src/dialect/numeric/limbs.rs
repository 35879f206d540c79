//! Whole numbers of any size: base 10^9, least limb first, no leading zeros; empty is zero.

use std::cmp::Ordering;

/// What a limb counts up to.
pub(super) const BASE: u64 = 1_000_000_000;

pub(super) fn trim(limbs: &mut Vec<u32>) {
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
}

pub(super) fn compare_limbs(a: &[u32], b: &[u32]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

pub(super) fn add_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0u64;
    for i in 0..a.len().max(b.len()) {
        let digit = carry + u64::from(a.get(i).copied().unwrap_or(0)) + u64::from(b.get(i).copied().unwrap_or(0));
        sum.push((digit % BASE) as u32);
        carry = digit / BASE;
    }
    sum.push(carry as u32);
    trim(&mut sum);
    sum
}

/// `a - b` where `a >= b`.
pub(super) fn subtract_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut difference = Vec::with_capacity(a.len());
    let mut borrow = 0i64;
    for (i, &digit) in a.iter().enumerate() {
        let mut digit = i64::from(digit) - i64::from(b.get(i).copied().unwrap_or(0)) - borrow;
        borrow = i64::from(digit < 0);
        if digit < 0 {
            digit += BASE as i64;
        }
        difference.push(digit as u32);
    }
    trim(&mut difference);
    difference
}

pub(super) fn multiply_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut product = vec![0u32; a.len() + b.len()];
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0u64;
        for (j, &y) in b.iter().enumerate() {
            let digit = u64::from(x) * u64::from(y) + u64::from(product[i + j]) + carry;
            product[i + j] = (digit % BASE) as u32;
            carry = digit / BASE;
        }
        product[i + b.len()] = carry as u32;
    }
    trim(&mut product);
    product
}

/// Divides in place by a small number and returns the remainder.
pub(super) fn divide_small(limbs: &mut Vec<u32>, divisor: u32) -> u32 {
    let mut remainder = 0u64;
    for limb in limbs.iter_mut().rev() {
        let digit = remainder * BASE + u64::from(*limb);
        *limb = (digit / u64::from(divisor)) as u32;
        remainder = digit % u64::from(divisor);
    }
    trim(limbs);
    remainder as u32
}

/// Quotient and remainder (Knuth, The Art of Computer Programming, 4.3.1 D); `b` is not zero.
pub(super) fn divide_limbs(a: &[u32], b: &[u32]) -> (Vec<u32>, Vec<u32>) {
    if compare_limbs(a, b) == Ordering::Less {
        return (Vec::new(), a.to_vec());
    }
    if let [divisor] = *b {
        let mut quotient = a.to_vec();
        let remainder = divide_small(&mut quotient, divisor);
        return (quotient, if remainder == 0 { Vec::new() } else { vec![remainder] });
    }
    let factor = (BASE / (u64::from(b[b.len() - 1]) + 1)) as u32;
    let mut rest = multiply_limbs(a, &[factor]);
    let divisor = multiply_limbs(b, &[factor]);
    rest.resize(a.len() + 1, 0);
    let n = divisor.len();
    let mut quotient = vec![0u32; a.len() + 1 - n];
    let top = u64::from(divisor[n - 1]);
    for j in (0..quotient.len()).rev() {
        let head = u64::from(rest[j + n]) * BASE + u64::from(rest[j + n - 1]);
        let mut guess = head / top;
        let mut left = head % top;
        while guess >= BASE || guess * u64::from(divisor[n - 2]) > left * BASE + u64::from(rest[j + n - 2]) {
            guess -= 1;
            left += top;
            if left >= BASE {
                break;
            }
        }
        let mut borrow = 0i64;
        let mut carry = 0u64;
        for i in 0..n {
            let product = guess * u64::from(divisor[i]) + carry;
            carry = product / BASE;
            let digit = i64::from(rest[j + i]) - (product % BASE) as i64 - borrow;
            borrow = i64::from(digit < 0);
            rest[j + i] = (if digit < 0 { digit + BASE as i64 } else { digit }) as u32;
        }
        let digit = i64::from(rest[j + n]) - carry as i64 - borrow;
        rest[j + n] = (if digit < 0 { digit + BASE as i64 } else { digit }) as u32;
        if digit < 0 {
            guess -= 1;
            let mut carry = 0u64;
            for i in 0..n {
                let sum = u64::from(rest[j + i]) + u64::from(divisor[i]) + carry;
                rest[j + i] = (sum % BASE) as u32;
                carry = sum / BASE;
            }
            rest[j + n] = ((u64::from(rest[j + n]) + carry) % BASE) as u32;
        }
        quotient[j] = guess as u32;
    }
    trim(&mut quotient);
    rest.truncate(n);
    trim(&mut rest);
    divide_small(&mut rest, factor);
    (quotient, rest)
}

/// 10^`power` as limbs.
pub(super) fn ten_to(power: u32) -> Vec<u32> {
    let mut limbs = vec![0u32; (power / 9) as usize];
    limbs.push(10u32.pow(power % 9));
    limbs
}

pub(super) fn limbs_of(mut number: u128) -> Vec<u32> {
    let mut limbs = Vec::new();
    while number > 0 {
        limbs.push((number % u128::from(BASE)) as u32);
        number /= u128::from(BASE);
    }
    limbs
}

/// Decimal digits, most significant first, without leading zeros.
pub(super) fn digits_of(limbs: &[u32]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(limbs.len() * 9);
    for (i, limb) in limbs.iter().rev().enumerate() {
        let text = if i == 0 { format!("{limb}") } else { format!("{limb:09}") };
        digits.extend(text.bytes().map(|b| b - b'0'));
    }
    digits
}

pub(super) fn limbs_from_digits(digits: &[u8]) -> Vec<u32> {
    let mut limbs: Vec<u32> =
        digits.rchunks(9).map(|chunk| chunk.iter().fold(0u32, |number, &d| number * 10 + u32::from(d))).collect();
    trim(&mut limbs);
    limbs
}
