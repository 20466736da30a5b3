/* The book of customers: c-0 to c-99, and where each of them lives. */
#pragma once

enum { CUSTOMERS = 100 };

/* The number of "c-7", or -1. */
int book_number(const char *customer);
