//! MariaDB's parsec accounts (11.6 and newer), both ways (pure): a key pair is made of the password and the account's salt, slowly.
//!
//! The key signs the server's challenge and as many bytes of the client's own. Source of facts: MariaDB
//! `plugin/auth_parsec/server_parsec.cc`.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use ring::{hmac, pbkdf2};
use zeroize::Zeroizing;

use super::ed25519::{KEY_BYTES, SIGNATURE_BYTES};

/// Bytes of a server's challenge, and of what a client adds to it.
pub const CHALLENGE_BYTES: usize = 32;
const SALT_BYTES: usize = 18;
/// What a client adds, and the signature.
pub const ANSWER_BYTES: usize = CHALLENGE_BYTES + SIGNATURE_BYTES;
/// The one function there is: PBKDF2 with HMAC-SHA512.
const PBKDF2: u8 = b'P';
/// Rounds of it, doubled up to three times.
const ROUNDS: u32 = 1024;
const DOUBLED_MAX: u8 = 3;

/// How a key is made of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    doubled: u8,
    salt: [u8; SALT_BYTES],
}

/// What a server stores: the recipe, and the public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    recipe: Recipe,
    key: [u8; KEY_BYTES],
}

impl Recipe {
    /// As a server tells it, if it is one.
    pub fn parse(told: &[u8]) -> Option<Self> {
        let [PBKDF2, doubled @ 0..=DOUBLED_MAX, salt @ ..] = told else { return None };
        Some(Self { doubled: *doubled, salt: salt.try_into().ok()? })
    }

    /// The answer to a server's challenge. What is added to it only has to be unknown to a server that does not know the key.
    pub fn answer(&self, password: &[u8], challenge: &[u8; CHALLENGE_BYTES]) -> [u8; ANSWER_BYTES] {
        let key = self.key(password);
        let added = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), challenge);
        let mut answer = [0; ANSWER_BYTES];
        answer[..CHALLENGE_BYTES].copy_from_slice(added.as_ref());
        let signature = key.sign(&[challenge, added.as_ref()].concat());
        answer[CHALLENGE_BYTES..].copy_from_slice(&signature.to_bytes());
        answer
    }

    fn key(&self, password: &[u8]) -> SigningKey {
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        // Of what `parse` lets in it is at most 8192.
        let rounds = NonZeroU32::new(ROUNDS << self.doubled).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &self.salt, password, &mut *seed);
        SigningKey::from_bytes(&seed)
    }
}

impl Stored {
    /// Of an account's row, such as `P0:SALT:KEY` with both in base64 without padding.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (function, salt, key) = (parts.next()?, parts.next()?, parts.next()?);
        let [PBKDF2, digit @ b'0'..=b'3'] = function.as_bytes() else { return None };
        let decoded = |part: &str| STANDARD_NO_PAD.decode(part).ok();
        let recipe = Recipe { doubled: digit - b'0', salt: decoded(salt)?.try_into().ok()? };
        parts.next().is_none().then_some(Self { recipe, key: decoded(key)?.try_into().ok()? })
    }

    /// Whether it is of this password: about a millisecond of work.
    pub fn is_password(&self, password: &[u8]) -> bool {
        self.recipe.key(password).verifying_key().to_bytes() == self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 11.8.9 has stored of the password `pp`.
    const STORED: &str = "P0:HNhZ7M7j1j5Ie8W4qxvJdDNy:TN/BKoO3CarA4aS4utRwvNhf2YOAvZ6KwOanKd0SlPU";

    #[test]
    fn the_key_is_the_servers() {
        let stored = Stored::parse(STORED).unwrap();
        assert!(stored.is_password(b"pp") && !stored.is_password(b"pq") && !stored.is_password(b""));
        for bad in
            ["", "P0", "P4:HNhZ7M7j1j5Ie8W4qxvJdDNy:TN", "Q0:HNhZ7M7j1j5Ie8W4qxvJdDNy:TN", &STORED[1..], &STORED[..70]]
        {
            assert_eq!(Stored::parse(bad), None, "{bad}");
        }
        assert_eq!(Stored::parse(&format!("{STORED}:")), None);
    }

    #[test]
    fn an_answer_is_a_signature_of_both_parts() {
        let stored = Stored::parse(STORED).unwrap();
        let told = [&[PBKDF2, 0][..], &stored.recipe.salt].concat();
        let recipe = Recipe::parse(&told).unwrap();
        let answer = recipe.answer(b"pp", &[7; CHALLENGE_BYTES]);
        let key = ed25519_dalek::VerifyingKey::from_bytes(&stored.key).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&answer[CHALLENGE_BYTES..]).unwrap();
        let signed = [&[7; CHALLENGE_BYTES], &answer[..CHALLENGE_BYTES]].concat();
        assert!(key.verify_strict(&signed, &signature).is_ok());
        assert_ne!(answer[..CHALLENGE_BYTES], recipe.answer(b"pp", &[8; CHALLENGE_BYTES])[..CHALLENGE_BYTES]);
        for bad in [&told[..19], &[&told[..], b"x"].concat(), &[&[PBKDF2, 4][..], &told[2..]].concat(), b""] {
            assert_eq!(Recipe::parse(bad), None);
        }
    }
}
