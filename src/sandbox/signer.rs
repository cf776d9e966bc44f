//! Signs notifications as SNS does, in both versions, with a key that protects nothing.
//!
//! The signatures are RSA of 2048 bits and pass every verifier; but the modulus is the product of the 64 largest primes below 2^32, so
//! that anybody can take it apart. In return a signature costs some ten thousand operations on machine words, so that an audit's
//! thousands of findings are signed in passing, and is the same in every run. (No library at hand signs with SHA-1, which is what SNS
//! does unless told otherwise.) `signing.pem` certifies that modulus; a test holds the two together.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use aws_smithy_types::base64;
use sha2::{Digest, Sha256};

/// The certificate, valid from 2020 to 2120.
const PEM: &str = include_str!("signing.pem");

/// What the names of SNS's certificates begin with.
const NAME: &str = "/SimpleNotificationService-";

/// Of 32 bits each: a modulus of 2048.
const PRIMES: usize = 64;

/// The public exponent; a prime.
const EXPONENT: u64 = 65_537;

/// `DigestInfo` of SHA-1 and of SHA-256 up to the digest (RFC 8017, 9.2, note 1).
const SHA1_INFO: [u8; 15] = *b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
const SHA256_INFO: [u8; 19] = *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// The path at which the certificate is served.
static PATH: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(PEM.as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{NAME}{hex}.pem")
});

/// The topic's attribute `SignatureVersion` and the signature of `text`, in Base64. Whatever is not 2 is 1, as topics are made.
pub(super) fn sign(version: &str, text: &str) -> (&'static str, String) {
    let (version, algorithm, info) = match version {
        "2" => ("2", &digest::SHA256, SHA256_INFO.as_slice()),
        _ => ("1", &digest::SHA1_FOR_LEGACY_USE_ONLY, SHA1_INFO.as_slice()),
    };
    let digest = digest::digest(algorithm, text.as_bytes());
    (version, base64::encode(SIGNER.power(&padded(info, digest.as_ref()))))
}

/// Where the certificate is, as notifications from `region` say it.
pub(super) fn certificate_url(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://sns.{region}.amazonaws.com{suffix}{}", *PATH)
}

/// Whether a path is that of some certificate of SNS.
pub(super) fn is_certificate(path: &str) -> bool {
    path.starts_with(NAME)
}

/// The certificate at a path; there is but one.
pub(super) fn certificate(path: &str) -> Option<&'static str> {
    (path == *PATH).then_some(PEM)
}

/// EMSA-PKCS1-v1_5 (RFC 8017, 9.2).
fn padded(info: &[u8], digest: &[u8]) -> [u8; 256] {
    let mut block = [0xff; 256];
    let end = block.len() - info.len() - digest.len();
    (block[0], block[1], block[end - 1]) = (0, 1, 0);
    block[end..end + info.len()].copy_from_slice(info);
    block[end + info.len()..].copy_from_slice(digest);
    block
}

/// One prime factor of the modulus.
struct Factor {
    prime: u64,
    /// The private exponent modulo `prime - 1`.
    exponent: u64,
    /// The inverse of the product of all factors before, modulo `prime`.
    inverse: u64,
}

struct Signer(Vec<Factor>);

impl Signer {
    fn new() -> Self {
        let mut factors: Vec<Factor> = Vec::with_capacity(PRIMES);
        let candidates = (0..=u64::from(u32::MAX)).rev().step_by(2);
        for prime in candidates.filter(|&number| is_prime(number)).take(PRIMES) {
            // exponent * EXPONENT = 1 + k * (prime - 1); no prime taken is 1 modulo EXPONENT, or it would have no inverse.
            let k = EXPONENT - power((prime - 1) % EXPONENT, EXPONENT - 2, EXPONENT);
            let before = factors.iter().fold(1, |product, factor| product * factor.prime % prime);
            factors.push(Factor {
                prime,
                exponent: (1 + k * (prime - 1)) / EXPONENT,
                inverse: power(before, prime - 2, prime),
            });
        }
        Self(factors)
    }

    /// The block, a number, to the power of the private exponent: modulo each factor, put together by Garner's algorithm.
    fn power(&self, block: &[u8; 256]) -> Vec<u8> {
        let mut digits: Vec<u64> = Vec::with_capacity(PRIMES);
        for factor in &self.0 {
            let prime = factor.prime;
            let words =
                block.chunks_exact(4).map(|word| word.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
            let residue = power(words.fold(0, |number, word| (number << 32 | word) % prime), factor.exponent, prime);
            let known = self.0.iter().zip(&digits).rev();
            let known = known.fold(0, |number, (factor, digit)| (number * factor.prime + digit) % prime);
            digits.push((residue + prime - known) % prime * factor.inverse % prime);
        }
        // The number whose digits these are, in the mixed radix of the factors; least significant word first.
        let mut number = vec![0_u64; PRIMES];
        for (factor, digit) in self.0.iter().zip(&digits).rev() {
            let mut carry = *digit;
            for word in &mut number {
                let sum = *word * factor.prime + carry;
                (*word, carry) = (sum & u64::from(u32::MAX), sum >> 32);
            }
        }
        number.iter().rev().flat_map(|word| word.to_be_bytes().into_iter().skip(4)).collect()
    }
}

/// All three below 2^32, so that no product overflows.
fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut result, mut square) = (1, base % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        exponent >>= 1;
    }
    result
}

/// Whether an odd number below 2^32 is a prime, by the bases that decide it (Jaeschke 1993: 2, 7 and 61 suffice below 4,759,123,141).
fn is_prime(number: u64) -> bool {
    let halvings = (number - 1).trailing_zeros();
    [2, 7, 61].into_iter().all(|base| {
        let mut power = power(base, (number - 1) >> halvings, number);
        let mut minus_one = power == number - 1;
        let starts_at_one = power == 1;
        for _ in 1..halvings {
            power = power * power % number;
            minus_one |= power == number - 1;
        }
        starts_at_one || minus_one
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Origin, SigningCertificate, decode_sealed};
    use serde_json::json;

    #[test]
    fn both_versions_are_what_the_certificate_verifies() {
        let certificate = SigningCertificate::from_pem(certificate(&PATH).unwrap().as_bytes()).unwrap();
        for (n, version) in ["1", "2"].into_iter().cycle().take(40).enumerate() {
            let (arn, message) = ("arn:aws:sns:us-east-1:123456789012:t", format!("{{\"findingId\":\"{n}\"}}"));
            let text = format!("Message\n{message}\nMessageId\nm\nTimestamp\nt\nTopicArn\n{arn}\nType\nNotification\n");
            let (version, signature) = sign(version, &text);
            let body = json!({
                "Type": "Notification", "MessageId": "m", "TopicArn": arn, "Message": message, "Timestamp": "t",
                "SignatureVersion": version, "Signature": signature, "SigningCertURL": certificate_url("us-east-1"),
            });
            let arrival = decode_sealed(&body.to_string(), &Origin::default()).remove(0);
            let seal = arrival.seals[0].as_ref().as_ref().unwrap();
            let now = "2026-11-22T12:00:00Z".parse().unwrap();
            assert_eq!(certificate.verify(seal, now), Ok(()), "{version} {n}");
        }
    }

    #[test]
    fn small_primes_are_told_from_other_odd_numbers() {
        let primes: Vec<u64> =
            (3..200).step_by(2).filter(|&number| is_prime(number) || [7, 61].contains(&number)).collect();
        let slowly = |number: &u64| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
        assert_eq!(primes, (3..200).step_by(2).filter(slowly).collect::<Vec<u64>>());
        assert_eq!(SIGNER.0.len(), PRIMES);
        assert_eq!(SIGNER.0[0].prime, 4_294_967_291);
    }

    #[test]
    fn an_unknown_certificate_is_not_there() {
        assert!(is_certificate("/SimpleNotificationService-0.pem"));
        assert_eq!(certificate("/SimpleNotificationService-0.pem"), None);
    }
}
