//! Colours and shapes of the page, in a light and a dark scheme.

use std::fmt::Write;

/// A colour's name, and what it is in the light and in the dark scheme.
type Colour = (&'static str, &'static str, &'static str);

/// Every colour of the page. Those of text and of lines in plots keep a contrast of 4.5 to their
/// background and to that of boxes (WCAG 2.2, 1.4.3): a test below computes it.
const COLOURS: [Colour; 22] = [
    ("background", "#ffffff", "#10151b"),
    ("box", "#f4f6f8", "#1a212a"),
    ("text", "#1b1f24", "#e6edf3"),
    ("muted", "#525b66", "#a3afbb"),
    ("line", "#cfd6dd", "#35404c"),
    ("link", "#0a58a8", "#7ab8ff"),
    ("good", "#14692f", "#56d37a"),
    ("middling", "#835200", "#e5b04a"),
    ("bad", "#b3202b", "#ff8b85"),
    ("thread", "#0a5db3", "#6fb5ff"),
    ("process", "#a84300", "#ffa45c"),
    ("control", "#5b6570", "#9ba7b4"),
    ("unmetered", "#6d3fc0", "#c4a6ff"),
    ("fuel", "#14692f", "#56d37a"),
    ("mixed", "#96266d", "#ff9ed2"),
    ("hue-0", "#0a5db3", "#6fb5ff"),
    ("hue-1", "#a84300", "#ffa45c"),
    ("hue-2", "#14692f", "#56d37a"),
    ("hue-3", "#6d3fc0", "#c4a6ff"),
    ("hue-4", "#96266d", "#ff9ed2"),
    ("hue-5", "#5b6570", "#9ba7b4"),
    // The text on a good, middling, bad or plotted surface.
    ("on-hue", "#ffffff", "#10151b"),
];

const RULES: &str = "
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; color: var(--text); background: var(--background);
  font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p, ul, ol { margin: .5rem 0; max-width: 48rem; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: .875em; overflow-wrap: anywhere; }
pre { padding: .75rem 1rem; background: var(--box); border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; overflow-wrap: normal; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.meta { color: var(--muted); margin: .15rem 0; max-width: none; }
.advice { font-size: 1.1rem; }
.alarm { border: 2px solid var(--bad); border-left-width: .6rem; padding: .5rem .75rem; margin: 1rem 0; font-weight: 600; color: var(--bad); max-width: none; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1.25rem 0 0; list-style: none; max-width: none; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
.scroll:focus-visible, a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; }
caption { text-align: left; color: var(--muted); padding: .25rem 0 .5rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; background: var(--box); vertical-align: bottom; }
tbody th { font-weight: 500; }
table.pairs td, table.stack th, table.stack td, table.rows tbody th { overflow-wrap: anywhere; }
table.pairs { width: auto; }
table.pairs th { color: var(--muted); white-space: nowrap; }
table.rows td { font-variant-numeric: tabular-nums; white-space: nowrap; }
table.rows td.number, table.rows th.number { text-align: right; }
table.rows thead th { white-space: nowrap; }
table.rows tbody th { min-width: 16rem; position: sticky; left: 0; background: var(--background); }
data { white-space: nowrap; }
table.rows tbody th code { display: block; color: var(--muted); font-size: .78rem; }
.interval { color: var(--muted); }
tr:target th, tr:target td { background: var(--box); box-shadow: inset 0 2px var(--link), inset 0 -2px var(--link); }
.badge { display: inline-block; white-space: nowrap; font-weight: 600; border: 1.5px solid; border-radius: 1rem; padding: .02rem .6rem; }
.good { color: var(--good); } .middling { color: var(--middling); } .bad { color: var(--bad); } .plain { color: var(--muted); }
.badge.bad { background: var(--bad); color: var(--on-hue); border-color: var(--bad); }
.badge.loud { background: var(--bad); color: var(--on-hue); border: 3px double var(--on-hue); border-radius: 0; text-transform: uppercase; white-space: normal; }
table.faults td { width: 39%; }
table.faults p, table.claims p { margin: .2rem 0 0; font-size: .86rem; color: var(--muted); }
table.faults td.surprise { outline: 3px solid var(--bad); outline-offset: -3px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 29rem), 1fr)); gap: 1.5rem 2rem; align-items: start; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure h3 { margin: 0 0 .25rem; }
figure svg.plot { display: block; width: 100%; height: auto; }
figcaption { font-size: .875rem; color: var(--muted); }
ul.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; list-style: none; margin: .3rem 0; padding: 0; font-size: .875rem; color: var(--text); }
ul.legend svg { width: 2.4rem; height: .9rem; vertical-align: -.12rem; margin-right: .35rem; }
svg text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
.swatch { display: inline-block; min-width: 1.4rem; text-align: center; font-weight: 600; color: var(--on-hue); border-radius: .2rem; margin-right: .4rem; }
dl.warnings dt { font-weight: 600; margin-top: .6rem; }
dl.warnings dd { margin: 0; color: var(--muted); }
@media (max-width: 40rem) {
  body { padding: 1rem .75rem 3rem; }
  h1 { font-size: 1.4rem; }
  table.stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table.stack, table.stack tbody, table.stack tr, table.stack th, table.stack td, table.stack caption { display: block; width: auto; }
  table.stack tr { border: 1px solid var(--line); border-radius: .4rem; margin: 0 0 .75rem; padding: .25rem 0; }
  table.stack th, table.stack td { border: 0; padding: .25rem .6rem; }
  table.stack tbody th { font-weight: 600; }
  table.stack td[data-label]::before { content: attr(data-label); display: block; font-size: .8rem; color: var(--muted); }
  table.faults tr { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  table.faults th { grid-column: 1 / 3; }
  table.faults td { width: auto; }
  table.faults .badge { white-space: normal; }
  table.rows tbody th { min-width: 9rem; max-width: 9rem; padding-left: .3rem; }
  table.rows thead th:first-child { padding-left: .3rem; }
  table.figures th, table.figures td { padding: .4rem .35rem; }
  svg.plot text { font-size: 68px; }
}
@media print {
  html { font-size: 10.5px; }
  body { max-width: none; padding: 0; }
  nav, .download { display: none; }
  .scroll { overflow: visible; }
  table.rows th, table.rows td { padding: .25rem .4rem; font-size: .85rem; }
  table.rows td, table.rows thead th, data { white-space: normal; }
  table.rows tbody th { min-width: 0; position: static; }
  tr, figure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  .plots { grid-template-columns: 1fr 1fr; }
}
";

/// The style sheet.
pub(super) fn sheet() -> String {
    // On paper it is light, whatever the screen is.
    format!(
        ":root {{ color-scheme: light dark; {} }}\n\
         @media screen and (prefers-color-scheme: dark) {{ :root {{ {} }} }}{RULES}",
        variables(|colour| colour.1),
        variables(|colour| colour.2),
    )
}

fn variables(scheme: impl Fn(&Colour) -> &'static str) -> String {
    COLOURS.iter().fold(String::new(), |mut text, colour| {
        // Writing to a String cannot fail.
        let _ = write!(text, "--{}: {}; ", colour.0, scheme(colour));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn black_on_white_has_the_contrast_that_the_standard_says() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
    }

    #[test]
    fn text_and_lines_can_be_seen_in_both_schemes() {
        let grounds = ["background", "box", "line", "on-hue"];
        for scheme in [|colour: &Colour| colour.1, |colour: &Colour| colour.2] {
            let find = |name: &str| scheme(COLOURS.iter().find(|c| c.0 == name).unwrap());
            for colour in COLOURS.iter().filter(|c| !grounds.contains(&c.0)) {
                for ground in ["background", "box", "on-hue"] {
                    let found = contrast(scheme(colour), find(ground));
                    assert!(found >= 4.5, "{} on {ground}: {found}", colour.0);
                }
            }
        }
    }

    #[test]
    fn every_colour_that_is_used_is_there() {
        let names: Vec<String> = COLOURS.iter().map(|c| format!("--{}", c.0)).collect();
        for used in RULES.split("var(").skip(1) {
            let name = used.split(')').next().unwrap();
            assert!(names.contains(&name.to_owned()), "{name}");
        }
    }
}
