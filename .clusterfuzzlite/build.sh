#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
exec "$SRC/multisnap/fuzz/build.sh"
