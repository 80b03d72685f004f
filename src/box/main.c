#include "box/box.h"

int main(void)
{
	return 70;
}
