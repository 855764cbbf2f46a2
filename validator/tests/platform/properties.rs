//! No text makes the parser panic, and whatever it takes is whole.

use pds_validator::platform::Platform;
use proptest::prelude::*;

use crate::TINY;
use crate::whole::check_whole;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// No text makes the parser panic, and a table that it takes has no loose ends.
    #[test]
    fn parser_never_panics_on_mutated_platforms(
        mutations in prop::collection::vec((0..TINY.len(), 0usize..40, "[ -~\n]{0,12}"), 1..6),
    ) {
        let mut text = TINY.to_owned();
        for (at, cut, insert) in mutations {
            let from = at.min(text.len());
            let to = (from + cut).min(text.len());
            text.replace_range(from..to, &insert);
        }
        if let Ok(platform) = Platform::parse(&text) {
            check_whole(&platform);
        }
    }

    /// Names, numbers and keywords that change places leave most of the syntax as it is.
    #[test]
    fn parser_never_panics_on_words_that_change_places(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut pieces: Vec<&str> = TINY.split_inclusive(|c| !is_word(c)).collect();
        let words: Vec<&str> = pieces.iter().map(|piece| piece.trim_end_matches(|c| !is_word(c))).collect();
        let mut replaced: Vec<String> = Vec::new();
        for (to, from) in &changes {
            let piece = pieces[to.index(pieces.len())];
            let end = piece.trim_start_matches(is_word);
            replaced.push(format!("{}{end}", words[from.index(words.len())]));
        }
        for ((to, _), piece) in changes.iter().zip(&replaced) {
            let at = to.index(pieces.len());
            pieces[at] = piece;
        }
        if let Ok(platform) = Platform::parse(&pieces.concat()) {
            check_whole(&platform);
        }
    }

    /// Helpers put together at random from valid and invalid pieces.
    #[test]
    fn parser_never_panics_on_random_helpers(
        arguments in prop::collection::vec((0..5usize, 0..12usize, any::<i64>(), any::<[bool; 4]>()), 0..7),
        returned in 0..6usize,
    ) {
        let names = ["a", "b", "c", "d", "a"];
        let mut list = String::new();
        for (name, kind, number, [nullable, keeps, ranged, text]) in arguments {
            let kind = match kind {
                0 => "type = \"u32\"".to_owned(),
                1 => "type = \"word\"".to_owned(),
                2 => "type = \"route\"".to_owned(),
                3 => "struct = \"query\"".to_owned(),
                4 => "frees = true".to_owned(),
                5 => format!("access = \"reads\", bytes = {}", number as u32),
                6 => format!("access = \"updates\", bytes = 4, least = {}", number as u8),
                7 => "access = \"fills\", count = \"a\"".to_owned(),
                8 => format!("access = \"may_write\", count = \"b\", times = {}", number as u16),
                9 => "access = \"reads\", until = \"c\"".to_owned(),
                10 => "access = \"reads\", count_at = \"d\"".to_owned(),
                _ => "access = \"reads\"".to_owned(),
            };
            list.push_str(&format!("{{ name = \"{}\", {kind}", names[name]));
            for (word, is_there) in [("nullable", nullable), ("keeps", keeps), ("text", text)] {
                if is_there {
                    list.push_str(&format!(", {word} = true"));
                }
            }
            if ranged {
                list.push_str(&format!(", min = {number}"));
            }
            list.push_str(" },\n");
        }
        let results = ["type = \"i32\"", "type = \"route\"", "allocation = \"a\"", "argument = \"b\"", "inside = \"c\"", ""];
        let returns = results[returned];
        let helper = format!("\n[helpers.any]\nclass = \"say\"\narguments = [{list}]\nreturns = {{ {returns} }}\n");
        if let Ok(platform) = Platform::parse(&format!("{TINY}{helper}")) {
            check_whole(&platform);
        }
    }
}
