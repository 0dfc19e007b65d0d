;; A start function that traps: no instance is ever made.
(start $begin)
(func $begin
  unreachable)
(func $misbehave (result i32)
  (i32.const 0))
