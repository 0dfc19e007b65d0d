//! Plots as SVG. The only place that knows plotters.
//!
//! The library writes whole pixels and fixed colours. So everything is drawn at [`SCALE`] times its
//! size, in colours that stand for others, and the text is then made to scale with the page and to
//! take its colours from the style sheet.

use std::fmt::Write;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::element::escape;
use super::plot::{Anchor, Axis, Ink, Key, Mark, Plot, Weight};
use crate::experiment::Arm;

/// Pixels that are drawn for each one that is meant.
const SCALE: i32 = 4;
/// The size that is meant; wider than a phone by little, so that text stays readable there.
const SIZE: (i32, i32) = (520, 336);
/// Room left, right, above and below the surface where marks are.
const ROOM: (i32, i32, i32, i32) = (72, 30, 48, 54);
/// Height of text.
const TEXT: i32 = 14;

/// A plot as a figure: the drawing, its legend and its caption. `None` where it cannot be drawn.
pub(super) fn figure(plot: &Plot) -> Option<String> {
    let drawing = draw(plot)?;
    let mut text = format!("<figure>\n<h3>{}</h3>\n{drawing}", escape(&plot.title));
    if !plot.legend.is_empty() {
        text.push_str("<ul class=\"legend\">");
        for (key, word) in &plot.legend {
            // Writing to a String cannot fail.
            let _ = write!(text, "<li>{}{}</li>", swatch(*key), escape(word));
        }
        text.push_str("</ul>\n");
    }
    if !plot.caption.is_empty() {
        let _ = writeln!(text, "<figcaption>{}</figcaption>", plot.caption);
    }
    text.push_str("</figure>\n");
    Some(text)
}

fn draw(plot: &Plot) -> Option<String> {
    let mut svg = String::new();
    let size = (
        u32::try_from(SIZE.0 * SCALE).ok()?,
        u32::try_from(SIZE.1 * SCALE).ok()?,
    );
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let sheet = Sheet { root: &root, plot };
        sheet.axes()?;
        for mark in &plot.marks {
            sheet.mark(mark)?;
        }
        root.present().ok()?;
    }
    let start = svg.find('>')? + 1;
    let body = svg[start..].replace(" opacity=\"1\"", "");
    let name = escape(&plot.name);
    Some(format!(
        "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{name}-title {name}-desc\">\
         <title id=\"{name}-title\">{}</title><desc id=\"{name}-desc\">{}</desc>{}",
        size.0,
        size.1,
        escape(&plot.title),
        escape(&plot.description),
        coloured(&body),
    ))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

struct Sheet<'s, 'a> {
    root: &'s Area<'a>,
    plot: &'s Plot,
}

impl Sheet<'_, '_> {
    fn axes(&self) -> Option<()> {
        let (left, right, top, bottom) = edges();
        let line = style(Ink::Grid, 1, 1.0);
        for (place, label) in &self.plot.y.ticks {
            let y = between(bottom, top, *place);
            self.root
                .draw(&PathElement::new([(left, y), (right, y)], line))
                .ok()?;
            let at = (left - 8 * SCALE, y);
            self.text(Ink::Muted, at, HPos::Right, VPos::Center, label)?;
        }
        for (place, label) in &self.plot.x.ticks {
            let x = between(left, right, *place);
            self.root
                .draw(&PathElement::new(
                    [(x, bottom), (x, bottom + 5 * SCALE)],
                    line,
                ))
                .ok()?;
            self.root
                .draw(&PathElement::new([(x, top), (x, bottom)], line))
                .ok()?;
            let at = (x, bottom + 7 * SCALE);
            self.text(Ink::Muted, at, HPos::Center, VPos::Top, label)?;
        }
        let frame = style(Ink::Muted, 1, 1.0);
        self.root
            .draw(&PathElement::new(
                [(left, top), (left, bottom), (right, bottom)],
                frame,
            ))
            .ok()?;
        let titles = [
            (
                &self.plot.y.title,
                (2 * SCALE, 2 * SCALE),
                HPos::Left,
                VPos::Top,
            ),
            (
                &self.plot.x.title,
                (right, SIZE.1 * SCALE - 2 * SCALE),
                HPos::Right,
                VPos::Bottom,
            ),
        ];
        for (title, at, h, v) in titles {
            self.text(Ink::Text, at, h, v, title)?;
        }
        Some(())
    }

    fn mark(&self, mark: &Mark) -> Option<()> {
        match mark {
            Mark::Line(ink, weight, points) => {
                let width = match weight {
                    Weight::Strong => 2,
                    Weight::Faint => 1,
                };
                let points = self.pixels(points);
                if points.len() > 1 {
                    self.root
                        .draw(&PathElement::new(points, style(*ink, width, 1.0)))
                        .ok()?;
                }
            }
            Mark::Dots(ink, weight, points) => {
                for at in self.pixels(points) {
                    self.dot(*ink, *weight, at)?;
                }
            }
            Mark::Band(ink, outline) => {
                let outline = self.pixels(outline);
                if outline.len() > 2 {
                    self.root
                        .draw(&Polygon::new(outline, style(*ink, 0, 0.25).filled()))
                        .ok()?;
                }
            }
            Mark::Bar(ink, one, other) => {
                if let (Some(one), Some(other)) = (self.pixel(*one), self.pixel(*other)) {
                    let left = (one.0.min(other.0), one.1.min(other.1));
                    let right = (one.0.max(other.0), one.1.max(other.1));
                    self.root
                        .draw(&Rectangle::new([left, right], style(*ink, 0, 1.0).filled()))
                        .ok()?;
                }
            }
            Mark::Label(ink, at, anchor, lines, word) => {
                if let Some((x, y)) = self.pixel(*at) {
                    let h = match anchor {
                        Anchor::Middle => HPos::Center,
                        Anchor::End => HPos::Right,
                    };
                    let above = y - i32::from(*lines) * (TEXT + 2) * SCALE;
                    self.text(*ink, (x, above), h, VPos::Center, word)?;
                }
            }
        }
        Some(())
    }

    /// A dot in the shape of its arm: circle, square, triangle, diamond.
    fn dot(&self, ink: Ink, weight: Weight, (x, y): (i32, i32)) -> Option<()> {
        let (size, opacity) = match weight {
            Weight::Strong => (4 * SCALE, 1.0),
            Weight::Faint => (5 * SCALE / 2, 0.55),
        };
        let style = style(ink, 0, opacity).filled();
        match ink {
            Ink::Arm(Arm::Process) => {
                let half = size * 7 / 8;
                self.root
                    .draw(&Rectangle::new(
                        [(x - half, y - half), (x + half, y + half)],
                        style,
                    ))
                    .ok()
            }
            Ink::Arm(Arm::Unmetered | Arm::Fuel) => {
                let corners = vec![(x, y - size), (x + size, y + size), (x - size, y + size)];
                self.root.draw(&Polygon::new(corners, style)).ok()
            }
            Ink::Arm(Arm::Mixed) => {
                let corners = vec![(x, y - size), (x + size, y), (x, y + size), (x - size, y)];
                self.root.draw(&Polygon::new(corners, style)).ok()
            }
            _ => self.root.draw(&Circle::new((x, y), size, style)).ok(),
        }
    }

    fn pixels(&self, points: &[(f64, f64)]) -> Vec<(i32, i32)> {
        points
            .iter()
            .filter_map(|&point| self.pixel(point))
            .collect()
    }

    fn pixel(&self, (x, y): (f64, f64)) -> Option<(i32, i32)> {
        let (left, right, top, bottom) = edges();
        let place = |axis: &Axis, value| axis.place(value);
        Some((
            between(left, right, place(&self.plot.x, x)?),
            between(bottom, top, place(&self.plot.y, y)?),
        ))
    }

    fn text(&self, ink: Ink, at: (i32, i32), h: HPos, v: VPos, word: &str) -> Option<()> {
        // The backend divides by 1.24 what it is given.
        let height = f64::from(TEXT * SCALE) * 1.24;
        let colour = rgb(ink);
        let style = TextStyle::from(("sans-serif", height).into_font())
            .color(&colour)
            .pos(Pos::new(h, v));
        self.root.draw(&Text::new(word.to_owned(), at, style)).ok()
    }
}

/// The surface where marks are: left, right, top, bottom.
fn edges() -> (i32, i32, i32, i32) {
    let (left, right, above, below) = ROOM;
    (
        left * SCALE,
        (SIZE.0 - right) * SCALE,
        above * SCALE,
        (SIZE.1 - below) * SCALE,
    )
}

/// The pixel at a place from 0 to 1 between two pixels.
fn between(from: i32, to: i32, place: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a place between two pixels, and saturates"
    )]
    let offset = (f64::from(to - from) * place).round() as i32;
    from + offset
}

fn style(ink: Ink, width: i32, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        color: rgb(ink).mix(opacity),
        filled: false,
        stroke_width: u32::try_from(width * SCALE).unwrap_or(1),
    }
}

const INKS: [Ink; 17] = [
    Ink::Arm(Arm::Thread),
    Ink::Arm(Arm::Process),
    Ink::Arm(Arm::Control),
    Ink::Arm(Arm::Unmetered),
    Ink::Arm(Arm::Fuel),
    Ink::Arm(Arm::Mixed),
    Ink::Hue(0),
    Ink::Hue(1),
    Ink::Hue(2),
    Ink::Hue(3),
    Ink::Hue(4),
    Ink::Hue(5),
    Ink::Text,
    Ink::Muted,
    Ink::Grid,
    Ink::Limit,
    Ink::OnHue,
];

/// The colour that stands for an ink until the drawing is done.
fn rgb(ink: Ink) -> RGBColor {
    let number = INKS.iter().position(|&other| other == ink).unwrap_or(0);
    RGBColor(1, 2, u8::try_from(number).unwrap_or(0))
}

/// The arm whose colour it has: variants of an isolation look like it.
fn hue(arm: Arm) -> Arm {
    match arm {
        Arm::Thread | Arm::Process | Arm::Control | Arm::Unmetered | Arm::Fuel | Arm::Mixed => arm,
        Arm::Exec | Arm::Spare | Arm::Pipe | Arm::ProcessSpin | Arm::ProcessPark => Arm::Process,
        Arm::ThreadSpin | Arm::ThreadPark => Arm::Thread,
    }
}

/// Its name in the style sheet.
fn variable(ink: Ink) -> String {
    match ink {
        Ink::Arm(arm) => hue(arm).name().to_owned(),
        Ink::Hue(number) => format!("hue-{}", number % 6),
        Ink::Text => "text".to_owned(),
        Ink::Muted => "muted".to_owned(),
        Ink::Grid => "line".to_owned(),
        Ink::Limit => "bad".to_owned(),
        Ink::OnHue => "on-hue".to_owned(),
    }
}

/// The dashes of its lines, so that they can be told apart without their colours.
fn dashes(ink: Ink) -> &'static str {
    match ink {
        Ink::Arm(Arm::Process) => " stroke-dasharray=\"28 12\"",
        Ink::Arm(Arm::Control) => " stroke-dasharray=\"6 10\"",
        Ink::Arm(Arm::Unmetered | Arm::Fuel) => " stroke-dasharray=\"28 10 6 10\"",
        Ink::Arm(Arm::Mixed) => " stroke-dasharray=\"12 10\"",
        Ink::Limit => " stroke-dasharray=\"16 12\"",
        _ => "",
    }
}

/// Puts the names of colours where those colours stand that stood for them.
fn coloured(body: &str) -> String {
    let mut body = body.replace(" font-family=\"sans-serif\"", "");
    for ink in INKS {
        let RGBColor(r, g, b) = rgb(ink);
        let colour = format!("#{r:02X}{g:02X}{b:02X}");
        let variable = variable(ink);
        body = body.replace(
            &format!("stroke=\"{colour}\""),
            &format!("stroke=\"var(--{variable})\"{}", dashes(ink)),
        );
        body = body.replace(
            &format!("fill=\"{colour}\""),
            &format!("fill=\"var(--{variable})\""),
        );
    }
    body
}

/// What stands before a word in a legend.
fn swatch(key: Key) -> String {
    let (ink, weight, dot) = match key {
        Key::Line(ink, weight) => (ink, weight, swatch_dot(ink)),
        Key::Rule(ink, weight) => (ink, weight, String::new()),
    };
    let width = match weight {
        Weight::Strong => 8,
        Weight::Faint => 4,
    };
    let variable = variable(ink);
    format!(
        "<svg viewBox=\"0 0 96 36\" aria-hidden=\"true\" fill=\"var(--{variable})\">\
         <path d=\"M0 18H96\" stroke=\"var(--{variable})\" stroke-width=\"{width}\"{}/>{dot}</svg>",
        dashes(ink)
    )
}

/// The dot of an ink, as [`Sheet::dot`] draws it.
fn swatch_dot(ink: Ink) -> String {
    match ink {
        Ink::Arm(Arm::Process) => "<rect x=\"36\" y=\"6\" width=\"24\" height=\"24\"/>".to_owned(),
        Ink::Arm(Arm::Unmetered | Arm::Fuel) => "<path d=\"M48 4L62 32L34 32z\"/>".to_owned(),
        Ink::Arm(Arm::Mixed) => "<path d=\"M48 4L62 18L48 32L34 18z\"/>".to_owned(),
        _ => "<circle cx=\"48\" cy=\"18\" r=\"13\"/>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plot::Scale;
    use super::*;
    use crate::experiment::Unit;

    fn plot(marks: Vec<Mark>) -> Plot {
        let axis = |values: [f64; 2]| {
            Axis::over("t", Scale::Linear, Unit::Seconds, values.into_iter()).unwrap()
        };
        Plot {
            name: "p".to_owned(),
            title: "a < b".to_owned(),
            description: "d".to_owned(),
            x: axis([0.0, 1.0]),
            y: axis([0.0, 1.0]),
            marks,
            legend: vec![(
                Key::Line(Ink::Arm(Arm::Thread), Weight::Strong),
                "thread".to_owned(),
            )],
            caption: String::new(),
        }
    }

    #[test]
    fn a_drawing_has_a_name_scales_and_takes_its_colours_from_the_page() {
        let line = Mark::Line(
            Ink::Arm(Arm::Process),
            Weight::Strong,
            vec![(0.0, 0.0), (1.0, 1.0)],
        );
        let text = figure(&plot(vec![line])).unwrap();
        assert!(text.contains("viewBox=\"0 0 2080 1344\" role=\"img\""));
        assert!(text.contains("<title id=\"p-title\">a &lt; b</title>"));
        assert!(text.contains("stroke=\"var(--process)\" stroke-dasharray"));
        assert!(!text.contains("=\"#"), "a colour was left");
        assert!(!text.contains(" width=\"2080\""));
    }

    #[test]
    fn what_has_no_place_is_left_out() {
        let nonsense = [(f64::NAN, 0.5), (9.0, 0.5), (0.5, f64::INFINITY)];
        let ink = Ink::Arm(Arm::Thread);
        let drawn = |points: Vec<(f64, f64)>| {
            figure(&plot(vec![Mark::Dots(ink, Weight::Strong, points)])).unwrap()
        };
        assert_eq!(drawn(nonsense.to_vec()), drawn(Vec::new()));
        assert_ne!(drawn(vec![(0.5, 0.5)]), drawn(Vec::new()));
    }

    #[test]
    fn every_ink_has_a_colour_of_its_own() {
        for (at, ink) in INKS.into_iter().enumerate() {
            assert_eq!(usize::from(rgb(ink).2), at);
        }
    }
}
