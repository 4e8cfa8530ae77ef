//! Sealed secrets: what stands in a configuration is of no use to who has not the key file, too. AES-256-GCM; pure but for its random
//! numbers.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::secret::Secret;

/// How a sealed secret begins.
const PREFIX: &str = "sealed:";
/// Length of a key in bytes.
const KEY: usize = 32;
/// What is sealed here is nothing that was sealed for another program.
const PURPOSE: &[u8] = b"oarlock secret 1";

/// What opens sealed secrets.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY]>);

/// Why a secret can't be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The system gives no random numbers.
    NoRandom,
    /// It is not what sealing leaves.
    Shape,
    /// It was sealed with another key, or has been changed.
    Key,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRandom => "the system gives no random numbers",
            Self::Shape => "it is cut short or has characters that `oarlock seal` does not write",
            Self::Key => "it was sealed with another key, or has been changed",
        })
    }
}

/// Whether a text is a sealed secret.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Key {
    /// A new one.
    pub fn random() -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY]);
        SystemRandom::new().fill(&mut *key).map_err(|_| SealError::NoRandom)?;
        Ok(Self(key))
    }

    /// As it stands in a key file.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY]);
        hex::decode_to_slice(text.trim_end(), &mut *key).ok()?;
        Some(Self(key))
    }

    /// As it is to stand in a key file.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(*self.0) + "\n")
    }

    /// Seals a secret: a text for the configuration, another one each time.
    pub fn seal(&self, secret: &Secret) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let mut sealed = secret.reveal().as_bytes().to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.cipher()?
            .seal_in_place_append_tag(nonce_used, Aad::from(PURPOSE), &mut sealed)
            .map_err(|_| SealError::Key)?;
        Ok(format!("{PREFIX}{}{}", hex::encode(nonce), hex::encode(sealed)))
    }

    /// Opens what was sealed.
    pub fn open(&self, text: &str) -> Result<Secret, SealError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|hex| hex::decode(hex).ok()).ok_or(SealError::Shape)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Shape)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.cipher()?.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed).map_err(|_| SealError::Key)?;
        let text = std::str::from_utf8(plain).map_err(|_| SealError::Shape)?;
        Ok(Secret::new(text.to_owned()))
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, &*self.0).map(LessSafeKey::new).map_err(|_| SealError::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_key_opens_it() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        for plain in ["", "s3\"cret", "pässwörd with ${A} and sealed:"] {
            let sealed = key.seal(&Secret::new(plain.to_owned())).unwrap();
            assert!(is_sealed(&sealed) && !sealed.contains("s3"));
            assert_eq!(key.open(&sealed).unwrap().reveal(), plain);
            assert_ne!(
                sealed,
                key.seal(&Secret::new(plain.to_owned())).unwrap(),
                "the same twice tells who has the same"
            );
            assert_eq!(other.open(&sealed), Err(SealError::Key));
            let again = Key::from_text(&key.to_text()).unwrap();
            assert_eq!(again.open(&sealed).unwrap().reveal(), plain);
        }
    }

    #[test]
    fn what_was_changed_stays_closed() {
        let key = Key::random().unwrap();
        let sealed = key.seal(&Secret::new("secret".to_owned())).unwrap();
        for (text, error) in [
            (sealed[..sealed.len() - 2].to_owned(), SealError::Key),
            (format!("{sealed}00"), SealError::Key),
            (format!("{sealed}0"), SealError::Shape),
            (format!("{sealed}xy"), SealError::Shape),
            ("sealed:".to_owned(), SealError::Shape),
            ("sealed:0011".to_owned(), SealError::Shape),
            ("secret".to_owned(), SealError::Shape),
        ] {
            assert_eq!(key.open(&text), Err(error), "{text}");
        }
        for text in ["", "00", "zz"] {
            assert!(Key::from_text(text).is_none());
        }
    }
}
