;; Says that it has begun, and never returns: something is to happen to its worker.
(func $misbehave (result i32)
  (call $post (i32.const 0) (i32.const 1))
  (loop $forever (br $forever))
  unreachable)
