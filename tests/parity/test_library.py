"""How the compiled operator is found."""

import os
import subprocess
import sys
import unittest


def imported(**environment):
    return subprocess.run([sys.executable, "-c", "import polariscope"], capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)


class Library(unittest.TestCase):
    def test_the_variable_names_it(self):
        self.assertEqual(imported().returncode, 0)

    def test_a_missing_one_is_named_with_what_to_do(self):
        error = imported(POLARISCOPE_LIBRARY="/nowhere/lib.so").stderr
        self.assertIn("ImportError", error)
        self.assertIn("/nowhere/lib.so", error)
        self.assertIn("./dev build", error)

    def test_one_that_does_not_load_is_named(self):
        self.assertIn("does not load into PyTorch", imported(POLARISCOPE_LIBRARY=__file__).stderr)


if __name__ == "__main__":
    unittest.main()
