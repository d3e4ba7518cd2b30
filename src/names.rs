//! The rules for names of users and rooms, and for titles and names of files and devices (section 5).
//!
//! Pure: what is taken, and by whom, is the store's business.

use crate::error::Refusal;
use chatwire_codec::Code;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The name of the room that everybody is in.
pub const ALL: &str = "all";

/// The name of the assistant.
pub const ASSISTANT: &str = "assistant";

/// What a guest is called who wished for no name: this and the user's id.
pub const GUEST: &str = "guest";

/// The longest name of a user or room, in bytes of NFC.
pub const MAX_NAME: usize = 64;

/// The longest spelling of a name in any form: a letter of one byte can be written as one of four.
const MAX_SPELLING: usize = MAX_NAME * 4;

/// The longest key of a name: no character grows more than elevenfold.
const MAX_KEY: usize = MAX_NAME * 11;

/// The longest name of a file or device, and the longest title, in bytes.
pub const MAX_LABEL: usize = 255;

/// A name of a user or room that is well formed, in NFC.
///
/// A name that comes in another form is not refused: it is brought into NFC and then checked.
///
/// # Errors
/// `conflict`: says which rule it breaks.
pub fn check(name: &str) -> Result<Box<str>, Refusal> {
    // No field that carries a name holds more, and normalising what is larger would cost without a bound.
    if name.len() > MAX_LABEL {
        return Err(conflict("a name is 1 to 64 bytes long"));
    }
    let name: String = name.nfc().collect();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(conflict("a name is 1 to 64 bytes long"));
    }
    if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(conflict("a name has single spaces, and none at its ends"));
    }
    if !name.chars().all(is_allowed) {
        return Err(conflict("a name is made of letters, marks, digits, `-`, `_`, `.` and single spaces"));
    }
    Ok(name.into())
}

/// What names are compared by: NFKC and case folding. Of what no name can be spelled as, because it is too long
/// or becomes so, the key is empty, which is nobody's: it costs little, and names nothing.
#[must_use]
pub fn key(name: &str) -> Box<str> {
    if name.len() > MAX_SPELLING {
        return Box::default();
    }
    if name.is_ascii() {
        return name.to_ascii_lowercase().into();
    }
    let Some(mut key) = nfkc(name) else { return Box::default() };
    // One round settles every single character (a test holds it). In a sequence, what folding brings out could
    // compose with its neighbour into something that folds again; the bound is there so that nothing spins.
    for _ in 0..5 {
        let folded = caseless::default_case_fold_str(&key);
        if folded == key {
            break;
        }
        let Some(next) = nfkc(&folded) else { return Box::default() };
        if next == key {
            break;
        }
        key = next;
    }
    key.into()
}

/// Whether a user may not take this name: `all`, the assistant's, `guest` and digits.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let key = key(name);
    match key.strip_prefix(GUEST) {
        Some(number) if !number.is_empty() && number.chars().all(is_digit) => true,
        _ => *key == *ALL || *key == *ASSISTANT,
    }
}

/// A name that is well formed and may be given to a user.
///
/// # Errors
/// `conflict`: says which rule it breaks.
pub fn free(name: &str) -> Result<Box<str>, Refusal> {
    let name = check(name)?;
    if is_reserved(&name) {
        return Err(conflict("this name is reserved; choose another"));
    }
    Ok(name)
}

/// A file's name as it is kept: without its folders, at most 255 bytes, no control characters.
///
/// # Errors
/// `conflict`.
pub fn file(name: &str) -> Result<Box<str>, Refusal> {
    let base = name.rfind(['/', '\\']).map_or(name, |slash| &name[slash + 1..]);
    label(base)
}

/// A device's name or a title: at most 255 bytes, no control characters.
///
/// # Errors
/// `conflict`.
pub fn label(name: &str) -> Result<Box<str>, Refusal> {
    if name.len() > MAX_LABEL {
        return Err(conflict("it is at most 255 bytes long"));
    }
    if name.contains(char::is_control) {
        return Err(conflict("it has no control characters"));
    }
    Ok(name.into())
}

/// In NFKC, unless that is longer than any name's.
fn nfkc(name: &str) -> Option<String> {
    let mut composed = String::with_capacity(name.len());
    for c in name.nfkc() {
        if composed.len() + c.len_utf8() > MAX_KEY {
            return None;
        }
        composed.push(c);
    }
    Some(composed)
}

fn is_allowed(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | ' ')
        || is_digit(c)
        || matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
}

fn is_digit(c: char) -> bool {
    c.general_category() == GeneralCategory::DecimalNumber
}

fn conflict(text: &'static str) -> Refusal {
    Refusal::new(Code::Conflict, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn taken_as(name: &str, want: &str) {
        assert_eq!(check(name).as_deref(), Ok(want));
    }

    #[track_caller]
    fn refused(name: &str) {
        assert_eq!(check(name).unwrap_err().code, Code::Conflict, "{name:?}");
    }

    #[test]
    fn letters_marks_digits_and_a_few_signs_make_a_name() {
        for name in ["a", "Anna-Maria_2.0", "two words", "Ωμέγα", "李雷", "हिन्दी", "٣٤", "é", "名 前"]
        {
            taken_as(name, &name.nfc().collect::<String>());
        }
    }

    #[test]
    fn other_characters_are_refused() {
        for name in [
            "a/b",
            "a\\b",
            "a\tb",
            "a\nb",
            "a\0",
            "🙂",
            "a@b",
            "½",
            "Ⅷ",
            "a\u{a0}b",
            "a\u{200d}b",
            "\u{202e}a",
        ] {
            refused(name);
        }
    }

    #[test]
    fn spaces_stand_single_and_inside() {
        for name in ["", " ", " a", "a ", "a  b"] {
            refused(name);
        }
    }

    #[test]
    fn length_is_counted_in_bytes_after_normalising() {
        taken_as(&"a".repeat(64), &"a".repeat(64));
        refused(&"a".repeat(65));
        // 32 times e and an accent: 96 bytes that become 64.
        taken_as(&"e\u{301}".repeat(32), &"é".repeat(32));
        refused(&"é".repeat(33));
        // A sign that NFC takes apart: 63 bytes that become 126.
        refused(&"\u{958}".repeat(21));
    }

    #[test]
    fn another_form_is_brought_into_nfc() {
        taken_as("Zoe\u{308}", "Zoë");
    }

    #[test]
    fn names_that_look_the_same_have_one_key() {
        for (a, b) in [
            ("Anna", "aNNA"),
            ("straße", "STRASSE"),
            ("Zoë", "zoe\u{308}"),
            ("ｆｕｌｌ", "full"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ﬁn", "FIN"),
            ("\u{212a}elvin", "kelvin"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("anna"), key("anne"));
        assert_ne!(key("zoe"), key("zoë"));
    }

    #[test]
    fn reserved_names_are_reserved_in_every_spelling() {
        for name in
            ["all", "ALL", "ａｌｌ", "assistant", "Assistant", "guest1", "GUEST007", "ｇuest４2", "guest٣"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["guest", "guest1a", "guests", "allan", "my assistant", "guest 1", "1guest"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn a_file_loses_its_folders() {
        for (name, want) in [
            ("", ""),
            ("a.txt", "a.txt"),
            ("/etc/passwd", "passwd"),
            ("C:\\x\\y.doc", "y.doc"),
            ("a/b\\c/d", "d"),
            ("a/", ""),
            ("../..", ".."),
            ("Fotos/Été 🙂.jpg", "Été 🙂.jpg"),
        ] {
            assert_eq!(file(name).as_deref(), Ok(want));
        }
        assert_eq!(file(&format!("{}/{}", "d".repeat(999), "f".repeat(255))).map(|n| n.len()), Ok(255));
    }

    #[test]
    fn labels_are_short_and_have_no_controls() {
        assert_eq!(label("Anna's phone: 📱").as_deref(), Ok("Anna's phone: 📱"));
        assert_eq!(label("").as_deref(), Ok(""));
        for name in [&"a".repeat(256), "a\nb", "\u{7f}", "\u{85}", "\0"] {
            assert_eq!(label(name).unwrap_err().code, Code::Conflict, "{name:?}");
            assert_eq!(file(name).unwrap_err().code, Code::Conflict, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_itself(name in "\\PC{0,16}") {
            prop_assert_eq!(key(&key(&name)), key(&name));
        }

        #[test]
        fn the_key_does_not_depend_on_the_form(name in "\\PC{0,16}") {
            prop_assert_eq!(key(&name.nfd().collect::<String>()), key(&name.nfc().collect::<String>()));
        }

        #[test]
        fn what_is_checked_checks_to_itself(name in "[\\pL\\pM\\p{Nd}._ -]{1,24}") {
            if let Ok(checked) = check(&name) {
                prop_assert_eq!(check(&checked), Ok(checked.clone()));
                prop_assert_eq!(key(&checked), key(&name));
            }
        }

        #[test]
        fn no_name_panics(name in any::<String>()) {
            let _ = (check(&name), is_reserved(&name), file(&name), label(&name));
        }
    }

    #[test]
    fn the_key_of_every_character_is_stable_and_at_most_eleven_times_as_long() {
        for c in '\0'..=char::MAX {
            let once = key(c.encode_utf8(&mut [0; 4]));
            assert_eq!(key(&once), once, "{:04x}", u32::from(c));
            assert!(once.len() <= 11 * c.len_utf8(), "{:04x}", u32::from(c));
        }
    }

    #[test]
    fn what_no_name_can_be_spelled_as_has_nobodys_key() {
        assert_eq!(&*key(&"𝐚".repeat(64)), "a".repeat(64), "the longest spelling");
        assert_eq!(&*key(&"a".repeat(257)), "");
        assert_eq!(key(&"\u{fdfa}".repeat(21)).len(), 693, "the longest key of a name");
        assert_eq!(&*key(&"\u{fdfa}".repeat(85)), "", "it would become 2805 bytes");
    }
}
