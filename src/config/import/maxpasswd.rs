//! Passwords that were encrypted by `maxpasswd` (pure): AES-256-CBC with the key of a `.secrets` file; the initial block comes first.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, KeyIvInit};
use zeroize::Zeroizing;

use super::super::secret::Secret;

const KEY: usize = 32;
const BLOCK: usize = 16;

/// The key of a `.secrets` file.
pub struct Secrets(Zeroizing<[u8; KEY]>);

#[derive(serde::Deserialize)]
struct File {
    encryption_key: String,
    encryption_cipher: Option<String>,
}

impl Secrets {
    /// Reads the text of the file.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| format!("not a file of maxkeys: {error}"))?;
        if let Some(cipher) = file.encryption_cipher.filter(|cipher| cipher != "EVP_aes_256_cbc") {
            return Err(format!("its cipher is {cipher}, which is not known"));
        }
        let mut key = Zeroizing::new([0; KEY]);
        hex::decode_to_slice(&*Zeroizing::new(file.encryption_key), &mut *key)
            .map_err(|_| "its key is not 64 hex digits".to_owned())?;
        Ok(Self(key))
    }

    /// The password, if this is one that was encrypted with this key.
    pub(super) fn open(&self, text: &str) -> Option<Secret> {
        let bytes = hex::decode(text).ok()?;
        let (initial, encrypted) = bytes.split_at_checked(BLOCK)?;
        let mut encrypted = Zeroizing::new(encrypted.to_vec());
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&*self.0, initial).ok()?;
        let plain = cipher.decrypt_padded_mut::<Pkcs7>(&mut encrypted).ok()?;
        // The end of a text in C may be encrypted with it.
        let plain = plain.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8(plain.to_vec()).ok().map(Secret::new)
    }
}

/// Whether a password looks as if it were encrypted.
pub(super) fn looks_encrypted(text: &str) -> bool {
    text.len() >= 2 * BLOCK && text.len().is_multiple_of(2 * BLOCK) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
