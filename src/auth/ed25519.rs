//! MariaDB's ed25519 accounts (pure): the key pair is made of the password, so who answers a challenge must know it.
//!
//! Unlike RFC 8032 there is no seed: SHA512(password) is the expanded secret key. Source of facts: MariaDB
//! `plugin/auth_ed25519` (`crypto_sign` of `ref10/sign.c`, `server_ed25519.c`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// Bytes of a public key, and of a challenge.
pub const KEY_BYTES: usize = 32;
/// Bytes of an answer.
pub const SIGNATURE_BYTES: usize = 64;

/// The public key that a server stores, if this is one: base64 without padding.
pub fn stored(text: &str) -> Option<[u8; KEY_BYTES]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The public key of a password.
pub fn public_key(password: &[u8]) -> [u8; KEY_BYTES] {
    VerifyingKey::from(&expanded(password)).to_bytes()
}

/// The answer to a server's challenge.
pub fn answer(password: &[u8], challenge: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let secret = expanded(password);
    raw_sign::<Sha512>(&secret, challenge, &VerifyingKey::from(&secret)).to_bytes()
}

fn expanded(password: &[u8]) -> ExpandedSecretKey {
    let hash = Zeroizing::new(<[u8; SIGNATURE_BYTES]>::from(Sha512::digest(password)));
    ExpandedSecretKey::from_bytes(&hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SELECT ed25519_password('secret')` on a server with the plugin's function.
    #[test]
    fn the_key_is_the_servers() {
        assert_eq!(stored("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"), Some(public_key(b"secret")));
        assert_eq!(stored("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ"), None, "too short");
        assert_eq!(stored("no key"), None);
    }

    #[test]
    fn an_answer_is_a_signature_of_the_challenge() {
        let challenge = [7; KEY_BYTES];
        let signature = ed25519_dalek::Signature::from_bytes(&answer(b"secret", &challenge));
        let key = VerifyingKey::from_bytes(&public_key(b"secret")).unwrap();
        assert!(key.verify_strict(&challenge, &signature).is_ok());
        assert!(key.verify_strict(&[8; KEY_BYTES], &signature).is_err());
        let other = VerifyingKey::from_bytes(&public_key(b"other")).unwrap();
        assert!(other.verify_strict(&challenge, &signature).is_err());
    }
}
