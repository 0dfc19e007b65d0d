;; Never returns, and calls nobody.
(func $misbehave (result i32)
  (loop $forever (br $forever))
  unreachable)
