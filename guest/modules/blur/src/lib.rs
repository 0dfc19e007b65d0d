//! Blurs a picture. Input: a PNG or JPEG file, perhaps after a line `sigma=S`. Output: the picture after a Gaussian blur, as a PNG file.
//!
//! S is the standard deviation in pixels, from 0.1 to 100, and 3 without such a line (which ends in one `\n`). The bell
//! is cut off about three of them from its middle, sooner for an S below 3. A picture that a camera turned is turned
//! upright, as its PNG has no mark for that; other metadata is dropped, the colour profile included. The colour type
//! stays what the decoder makes of it, and an animation keeps its first frame.
//!
//! Refused: what is neither PNG nor JPEG or is broken, and a picture of more than 16384 pixels a side or of more than
//! 64 MiB when decoded, before it is decoded.

use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The blur of an input that names none: plainly visible, and a kernel of 17 taps.
pub const DEFAULT_SIGMA: f32 = 3.0;
/// Below, no neighbour has any weight; above, the kernel is as wide as many a picture.
const SIGMA_LIMITS: (f32, f32) = (0.1, 100.0);
/// The most pixels a side.
const MAX_SIDE: u32 = 16_384;
/// The most bytes of the decoded picture. The blur needs as much again; together that is what a guest can ask for in good
/// conscience, and a host with a lower limit ends the job.
const MAX_DECODED: u64 = 64 * 1024 * 1024;

/// The reply to an input.
///
/// # Errors
/// The input is refused for one of the reasons above.
pub fn blur(input: &[u8]) -> Result<Vec<u8>, String> {
    let (sigma, file) = split_sigma(input)?;
    let picture = decode(file)?.blur(sigma);
    let mut png = Vec::new();
    picture
        .write_with_encoder(PngEncoder::new(&mut png))
        .map_err(|error| format!("the blurred picture cannot be encoded: {error}"))?;
    Ok(png)
}

/// Takes the line with the standard deviation off the front.
fn split_sigma(input: &[u8]) -> Result<(f32, &[u8]), String> {
    let Some(rest) = input.strip_prefix(b"sigma=") else {
        return Ok((DEFAULT_SIGMA, input));
    };
    let end = rest
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or("an input that begins with sigma= must have a picture on the next line")?;
    let (least, most) = SIGMA_LIMITS;
    let text = String::from_utf8_lossy(&rest[..end]);
    let sigma = text
        .parse()
        .ok()
        .filter(|sigma| (least..=most).contains(sigma))
        .ok_or_else(|| format!("sigma must be a number from {least} to {most}, not '{text}'"))?;
    Ok((sigma, &rest[end + 1..]))
}

/// Decodes a picture of bounded size, and turns it upright.
fn decode(file: &[u8]) -> Result<DynamicImage, String> {
    let broken = |error: ImageError| format!("the picture cannot be read: {error}");
    let format = match image::guess_format(file) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Ok(other) => return Err(format!("the input is {other:?}, and must be PNG or JPEG")),
        Err(_) => return Err("the input is no picture: it must be PNG or JPEG".to_owned()),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // Room for what a decoder keeps beside the picture itself, whose own limit is checked below.
    limits.max_alloc = Some(2 * MAX_DECODED);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Limits(_) => {
            format!("the picture has more than {MAX_SIDE} pixels a side, or needs too much memory: {error}")
        }
        other => broken(other),
    })?;
    let decoded = decoder.total_bytes();
    if decoded > MAX_DECODED {
        return Err(format!(
            "the picture has {decoded} bytes when decoded, and may have {MAX_DECODED}"
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

cofferdam_guest::handler!(|input: &[u8]| -> Result<Vec<u8>, String> { blur(input) });

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::testing::Job;
    use image::{GrayImage, Luma, RgbImage};

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    /// A white dot in the middle of black.
    fn dot() -> DynamicImage {
        let mut picture = GrayImage::new(33, 21);
        picture.put_pixel(16, 10, Luma([255]));
        picture.into()
    }

    fn blurred(input: &[u8]) -> GrayImage {
        let ending = Job::new(input).run(handler);
        assert_eq!(ending.reason, None);
        image::load_from_memory_with_format(&ending.output, ImageFormat::Png)
            .unwrap()
            .into_luma8()
    }

    fn refused(input: &[u8]) -> String {
        let ending = Job::new(input).run(handler);
        assert_eq!((ending.code, ending.output), (1, vec![]));
        ending.reason.unwrap()
    }

    #[test]
    fn a_dot_becomes_a_bell_of_the_right_height_and_size() {
        let input = [b"sigma=1\n".as_slice(), &encoded(&dot(), ImageFormat::Png)].concat();
        let bell = blurred(&input);
        assert_eq!(bell.dimensions(), (33, 21));
        // The density of a normal distribution in two dimensions, at 0 and at distance 1.
        let expected = |distance: f32| 255.0 / std::f32::consts::TAU * (-distance / 2.0).exp();
        for (x, distance) in [(16, 0.0), (15, 1.0), (17, 1.0)] {
            let height = f32::from(bell.get_pixel(x, 10).0[0]);
            assert!((height - expected(distance)).abs() < 2.0, "{height} at {x}");
        }
        assert_eq!(bell.get_pixel(0, 0).0, [0]);
    }

    #[test]
    fn the_default_blur_is_wider() {
        let narrow = [b"sigma=1\n".as_slice(), &encoded(&dot(), ImageFormat::Png)].concat();
        let wide = encoded(&dot(), ImageFormat::Png);
        assert!(blurred(&wide).get_pixel(16, 10).0 < blurred(&narrow).get_pixel(16, 10).0);
    }

    #[test]
    fn a_jpeg_comes_back_as_a_png_of_its_size() {
        let jpeg = encoded(&RgbImage::new(40, 30).into(), ImageFormat::Jpeg);
        assert_eq!(blurred(&jpeg).dimensions(), (40, 30));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(
            refused(b""),
            "the input is no picture: it must be PNG or JPEG"
        );
        assert_eq!(
            refused(b"GIF89a"),
            "the input is Gif, and must be PNG or JPEG"
        );
    }

    #[test]
    fn a_truncated_picture_is_refused() {
        let png = encoded(&dot(), ImageFormat::Png);
        let reason = refused(&png[..png.len() / 2]);
        assert!(
            reason.starts_with("the picture cannot be read: "),
            "{reason}"
        );
    }

    #[test]
    fn a_sigma_out_of_range_is_refused_with_its_limits() {
        for text in ["0", "101", "NaN", "", "x"] {
            assert_eq!(
                refused(format!("sigma={text}\n").as_bytes()),
                format!("sigma must be a number from 0.1 to 100, not '{text}'")
            );
        }
        assert_eq!(
            refused(b"sigma=1"),
            "an input that begins with sigma= must have a picture on the next line"
        );
    }

    /// A PNG file that claims a size: signature and header, and no data.
    fn header(width: u32, height: u32) -> Vec<u8> {
        let mut file = encoded(&dot(), ImageFormat::Png);
        let chunk = 12..29;
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&file[chunk.clone()]);
        file[chunk.end..chunk.end + 4].copy_from_slice(&crc.to_be_bytes());
        file
    }

    /// PNG specification, annex D.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
            })
        })
    }

    #[test]
    fn a_decompression_bomb_is_refused_before_it_is_decoded() {
        assert_eq!(
            refused(&header(16_384, 16_384)),
            "the picture has 268435456 bytes when decoded, and may have 67108864"
        );
        let reason = refused(&header(16_385, 1));
        assert!(
            reason.starts_with("the picture has more than 16384 pixels a side"),
            "{reason}"
        );
    }
}
