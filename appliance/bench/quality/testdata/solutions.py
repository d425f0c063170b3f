# One right program for each of the tasks in code.jsonl.

def add(a, b): return a + b


def is_even(n): return n % 2 == 0


def reverse_text(s): return s[::-1]


def largest(numbers): return max(numbers)


def factorial(n): return 1 if n == 0 else n * factorial(n - 1)


def count_vowels(s): return sum(c in 'aeiou' for c in s.lower())


def is_palindrome(s): return s == s[::-1]


def squares(n): return [i * i for i in range(1, n + 1)]


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n): a, b = b, a + b
    return a


def word_count(text): return len(text.split())


def unique(items): return list(dict.fromkeys(items))


def celsius(f): return (f - 32) * 5 / 9


def gcd(a, b):
    while b: a, b = b, a % b
    return a


def is_prime(n): return n > 1 and all(n % i for i in range(2, int(n ** 0.5) + 1))


def merge(a, b): return sorted(a + b)


def letters(s): return {c: s.count(c) for c in s}


def clamp(x, low, high): return max(low, min(x, high))


def average(numbers): return sum(numbers) / len(numbers) if numbers else 0


def flatten(lists): return [x for l in lists for x in l]


def leap_year(year): return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
