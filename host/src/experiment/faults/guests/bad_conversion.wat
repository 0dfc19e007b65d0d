;; Converts what is no number to an integer.
(func $misbehave (result i32)
  (i32.trunc_f32_s (f32.const nan)))
