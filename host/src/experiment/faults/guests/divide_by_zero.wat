;; Divides by a zero that no compiler sees.
(func $misbehave (result i32)
  (i32.div_s (i32.const 1) (i32.load8_u (i32.const 1000))))
