//! The licence that a source's own licence file names.

/// Finds the licence file nearest to the top and names its licence (SPDX). `None`: no such file, or no licence we know.
pub(super) fn find(
    paths: &[&str],
    load_text: &dyn Fn(usize) -> Option<String>,
) -> Option<&'static str> {
    let mut files: Vec<(usize, usize)> = paths
        .iter()
        .enumerate()
        .filter(|(_, path)| is_licence_file(path))
        .map(|(file, path)| (path.matches('/').count(), file))
        .filter(|&(depth, _)| depth <= 1)
        .collect();
    files.sort_unstable();
    files
        .into_iter()
        .find_map(|(_, file)| name(&load_text(file)?))
}

fn is_licence_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let stem = name.split('.').next().unwrap_or(&name);
    matches!(stem, "license" | "licence" | "copying" | "лицензия") || stem.starts_with("license-")
}

/// Names the licence by the words that only its text has. More special texts come first: LGPL quotes GPL.
fn name(text: &str) -> Option<&'static str> {
    let text = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    let has = |words: &str| text.contains(words);
    let known = [
        (
            has("creative commons") && has("attribution 4.0"),
            "CC-BY-4.0",
        ),
        (has("gnu affero general public license"), "AGPL-3.0"),
        (has("gnu lesser general public license"), "LGPL-3.0"),
        (
            has("gnu general public license") && has("version 3"),
            "GPL-3.0",
        ),
        (
            has("gnu general public license") && has("version 2"),
            "GPL-2.0",
        ),
        (has("mozilla public license") && has("2.0"), "MPL-2.0"),
        (has("eclipse public license") && has("2.0"), "EPL-2.0"),
        (has("apache license") && has("version 2.0"), "Apache-2.0"),
        (
            has("redistribution and use in source and binary forms") && has("neither the name"),
            "BSD-3-Clause",
        ),
        (
            has("redistribution and use in source and binary forms"),
            "BSD-2-Clause",
        ),
        (has("permission is hereby granted, free of charge"), "MIT"),
        (has("this is free and unencumbered software"), "Unlicense"),
    ];
    known
        .into_iter()
        .find(|(is_it, _)| *is_it)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_named_by_their_words() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(name(text), expected);
        check(
            "MIT License\n\nPermission is hereby\ngranted, free of charge, to any person",
            Some("MIT"),
        );
        check(
            "Apache License\n   Version 2.0, January 2004",
            Some("Apache-2.0"),
        );
        check("Mozilla Public License Version 2.0", Some("MPL-2.0"));
        check(
            "GNU LESSER GENERAL PUBLIC LICENSE Version 3 ... GNU General Public License",
            Some("LGPL-3.0"),
        );
        check(
            "Redistribution and use in source and binary forms ... Neither the name of",
            Some("BSD-3-Clause"),
        );
        check("Все права защищены", None);
    }

    #[test]
    fn the_file_nearest_to_the_top_counts() {
        let paths = ["lib/deep/LICENSE", "lib/LICENSE.md", "LICENSE", "src/a.bsl"];
        let texts = |file: usize| {
            Some(
                if file == 2 {
                    "apache license version 2.0"
                } else {
                    "mozilla public license 2.0"
                }
                .to_owned(),
            )
        };
        assert_eq!(find(&paths, &texts), Some("Apache-2.0"));
        assert_eq!(find(&paths[..2], &texts), Some("MPL-2.0"));
        assert_eq!(find(&paths[..1], &texts), None);
    }
}
