//! What a misspelt word was probably meant to be.

/// "; did you mean `x`?" if one of the words is near enough, else nothing.
pub(crate) fn did_you_mean<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, words).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The nearest word, if at most a third of the letters (but two at least) are wrong.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let near = words.into_iter().map(|other| (distance(&lower, &other.to_lowercase()), other)).min()?;
    (near.0 <= (word.chars().count() / 3).max(2)).then_some(near.1)
}

/// Levenshtein's distance, in one row. Words longer than any key or check are not worth the time.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    if one.chars().count() > 100 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let keys = ["cooldown", "mode", "rules"];
        assert_eq!(nearest("cooldwon", keys), Some("cooldown"));
        assert_eq!(nearest("Mode", keys), Some("mode"));
        assert_eq!(nearest("frequency", keys), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
