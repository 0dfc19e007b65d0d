;; Divides the least number by -1: the result is one more than the largest.
(func $misbehave (result i32)
  (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load8_u (i32.const 1000)) (i32.const 1))))
