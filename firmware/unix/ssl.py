# micropython-lib's ssl package in short: the same names as tls, nothing else is used here.
from tls import *
