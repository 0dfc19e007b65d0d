;; Waits in the host for a message that nobody sends.
(func $misbehave (result i32)
  (drop (call $recv (i32.const 0) (i32.const 8) (i32.const -1)))
  (i32.const 0))
