# SPDX-License-Identifier: MIT
#
# gnuplot -e "data='FILE'; picture='FILE'; heading='TEXT'; variable='TEXT'; unit='TEXT'; ways=N"
# plot.gp
#
# Draws one line for each way. plot.py writes a block for each: its name, then lines of
# x label median lower-quartile upper-quartile.

set terminal svg size 1000,600 noenhanced background rgb 'white'
set output picture
set title heading
set xlabel variable
set ylabel unit
set logscale xy
set autoscale xfix
set format y '%g'
set grid ytics
set key outside right
plot for [i = 0:ways - 1] data index i using 1:3:4:5:xtic(2) \
	with yerrorlines linewidth (i ? 1.5 : 3) dashtype 1 + i / 8 title columnheader(1)
