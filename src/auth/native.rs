//! mysql_native_password, both ways (pure).
//!
//! A client proves that it knows a password by sending `SHA1(pw) XOR SHA1(scramble + SHA1(SHA1(pw)))`; the server stores
//! `SHA1(SHA1(pw))`. So whoever holds the stored hash and sees one right answer obtains `SHA1(pw)`, and with that can
//! answer another server's scramble: this is how the proxy logs in to nodes without knowing a password.
//! Source of facts: MariaDB `sql/password.c`.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a scramble, of an answer and of a stored hash.
pub const HASH_BYTES: usize = 20;

/// `SHA1(password)`: as good as the password, so it is wiped on drop and never printed.
#[derive(Clone)]
pub struct Sha1Password([u8; HASH_BYTES]);

impl Sha1Password {
    /// Of a password in clear; none if it is empty, since then an empty answer is sent.
    pub fn of(password: &[u8]) -> Option<Self> {
        (!password.is_empty()).then(|| Self(Sha1::digest(password).into()))
    }

    /// What a server stores of it.
    pub fn stored(&self) -> [u8; HASH_BYTES] {
        Sha1::digest(self.0).into()
    }
}

impl Drop for Sha1Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Sha1Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sha1Password(..)")
    }
}

/// Checks a client's answer to `scramble` against `SHA1(SHA1(pw))`; what it proves knowledge of is `SHA1(pw)`.
///
/// An empty answer (no password) is the caller's case.
pub fn verify(scramble: &[u8; HASH_BYTES], answer: &[u8], stored: &[u8; HASH_BYTES]) -> Option<Sha1Password> {
    let answer: &[u8; HASH_BYTES] = answer.try_into().ok()?;
    let claimed = Sha1Password(xor(answer, &mask(scramble, stored)));
    let double: [u8; HASH_BYTES] = Sha1::digest(claimed.0).into();
    same(&double, stored).then_some(claimed)
}

/// What a server stores of a password: `SHA1(SHA1(pw))`.
pub fn stored(password: &[u8]) -> [u8; HASH_BYTES] {
    Sha1::digest(Sha1::digest(password)).into()
}

/// Whether this is the password of `SHA1(SHA1(pw))`.
pub fn is_password(password: &[u8], stored: &[u8; HASH_BYTES]) -> bool {
    Sha1Password::of(password).is_some_and(|hash| same(&Sha1::digest(hash.0).into(), stored))
}

/// The answer to a server's `scramble`.
pub fn answer(password: &Sha1Password, scramble: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
    let stored = Zeroizing::new(<[u8; HASH_BYTES]>::from(Sha1::digest(password.0)));
    xor(&password.0, &mask(scramble, &stored))
}

/// What shows a client that the certificate it was shown is of a server that has its password, so that nobody has to vouch for it:
/// 11.4 and newer look for this in the OK packet that ends their login, where nothing else lets them trust the certificate.
/// (server: `sql/sql_acl.cc` of 11.4; client: `run_plugin_auth` of `plugins/auth/my_auth.c`)
pub fn proof(stored: &[u8; HASH_BYTES], scramble: &[u8; HASH_BYTES], fingerprint: &[u8; 32]) -> String {
    let proof = Sha256::new().chain_update(stored).chain_update(scramble).chain_update(fingerprint).finalize();
    format!("\x01{}", hex::encode_upper(proof))
}

/// Takes the same time wherever the first difference is.
fn same(a: &[u8; HASH_BYTES], b: &[u8; HASH_BYTES]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn mask(scramble: &[u8; HASH_BYTES], stored: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
    Sha1::new().chain_update(scramble).chain_update(stored).finalize().into()
}

fn xor(a: &[u8; HASH_BYTES], b: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: &[u8; 20] = b"0123456789abcdefghij";

    #[test]
    fn a_right_answer_gives_what_answers_another_scramble() {
        let password = Sha1Password::of(b"SecretP@ssw0rd").unwrap();
        let proven = verify(SCRAMBLE, &answer(&password, SCRAMBLE), &stored(b"SecretP@ssw0rd")).unwrap();
        let other = b"another-scramble-20b";
        assert!(verify(other, &answer(&proven, other), &stored(b"SecretP@ssw0rd")).is_some());
        assert_eq!(format!("{proven:?}"), "Sha1Password(..)");
    }

    #[test]
    fn anything_else_proves_nothing() {
        let right = answer(&Sha1Password::of(b"a").unwrap(), SCRAMBLE);
        for bit in 0..160 {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(SCRAMBLE, &wrong, &stored(b"a")).is_none(), "bit {bit}");
        }
        assert!(verify(SCRAMBLE, &right, &stored(b"b")).is_none());
        assert!(verify(b"0123456789abcdefghiJ", &right, &stored(b"a")).is_none());
        assert!(verify(SCRAMBLE, &right[..19], &stored(b"a")).is_none());
        assert!(verify(SCRAMBLE, b"", &stored(b"a")).is_none());
        assert!(Sha1Password::of(b"").is_none());
    }

    /// What 11.8.9 said to a client that had the password `nn`.
    #[test]
    fn the_proof_is_the_servers() {
        let mut fingerprint = [0; 32];
        let hex = "3ecc4fd0f450a1349c61b38b63c626bb84fe28fe3fa227066d9c69960cec354a";
        hex::decode_to_slice(hex, &mut fingerprint).unwrap();
        let said = "\x01B510C2BA297DDDE273313D85C7C765665AE1197C92BBBC531C37B9E40D4CB7CE";
        assert_eq!(proof(&stored(b"nn"), b"'yO^it/+*.Kk[fmqo[[5", &fingerprint), said);
    }

    /// `SELECT PASSWORD('secret')` on a server.
    #[test]
    fn the_stored_hash_is_the_servers() {
        let hash = stored(b"secret").iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        assert_eq!(hash, "14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
    }
}
