#include "book.h"

#include <stdio.h>

int book_number(const char *customer) {
    int n;
    return sscanf(customer, "c-%d", &n) == 1 && n >= 0 && n < CUSTOMERS ? n : -1;
}
