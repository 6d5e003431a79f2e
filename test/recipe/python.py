"""Drops until the interpreter ends: what is pending then is given up before."""
import dropping

for _ in range(1000):
    dropping.drop([str(number) for number in range(100)])
print("the interpreter ends")
