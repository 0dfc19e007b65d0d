;; A start function that never ends: no instance is ever made.
(start $begin)
(func $begin
  (loop $forever (br $forever)))
(func $misbehave (result i32)
  (i32.const 0))
