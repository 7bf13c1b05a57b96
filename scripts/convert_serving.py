#!/usr/bin/env -S python3 -IB
import os
import sys

entry = os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib", "entry.py")
os.execv(sys.executable, [sys.executable, "-IB", entry, "convert_serving", *sys.argv[1:]])
