//! The answer of caching_sha2_password (pure), which a server compares with what it remembers of the last full login.
//!
//! Source of facts: MySQL `sql/auth/sha2_password_common.cc` (`Generate_scramble`).

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of an answer.
const HASH_BYTES: usize = 32;

/// `SHA256(pw) XOR SHA256(SHA256(SHA256(pw)) + scramble)`
pub fn answer(password: &[u8], scramble: &[u8]) -> [u8; HASH_BYTES] {
    let once = Zeroizing::new(<[u8; HASH_BYTES]>::from(Sha256::digest(password)));
    let twice: [u8; HASH_BYTES] = Sha256::digest(*once).into();
    let mask: [u8; HASH_BYTES] = Sha256::new().chain_update(twice).chain_update(scramble).finalize().into();
    std::array::from_fn(|i| once[i] ^ mask[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the client library of the tests has it, whose vector is that of another one.
    #[test]
    fn an_answer_is_that_of_other_clients() {
        let scramble = b"NR3HP:qIYa_9=db?Sd{`";
        let expected = "4f97bbfd202401c42a69deaae53bda077ed7578563c1a80eb816c82119b68d2e";
        assert_eq!(hex::encode(answer(b"G!ider27", scramble)), expected);
    }
}
