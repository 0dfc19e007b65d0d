;; Logs two thousand lines of a KiB, and returns.
(func $misbehave (result i32)
  (local $left i32)
  (local.set $left (i32.const 2000))
  (memory.fill (i32.const 0) (i32.const 0x61) (i32.const 1024))
  (loop $again
    (call $log (i32.const 2) (i32.const 0) (i32.const 1024))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $again (local.get $left)))
  (i32.const 0))
